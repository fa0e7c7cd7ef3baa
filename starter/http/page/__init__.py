"""The chat page: static files, and what they are told of this deployment."""
