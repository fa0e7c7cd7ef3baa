"""The errors of the embedded stack."""

from journeys.errors import EngineUnavailable


class EmbeddedStackError(EngineUnavailable):
    """A server of the embedded stack cannot start or keep running.

    The message is one line for a terminal: the cause, and what to do about it.
    """


class PortTakenError(EmbeddedStackError):
    """Another program took a port after it was chosen and before the server listened on it."""
