"""The stream of a session: Server-Sent Events, made from the stores."""
