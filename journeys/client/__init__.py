"""How services start, signal, update and query the journeys: the only part of `journeys` that does I/O.

`chat_sessions` is the client of the journey Chat Session Management. The clients of all journeys share the other
modules: connection, settings, one deadline for a call and its retries, and the ways to send a message.
"""
