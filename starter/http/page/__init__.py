"""The chat page: static files, and their configuration by this deployment."""
