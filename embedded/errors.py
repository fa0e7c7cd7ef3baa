"""What the embedded stack says when it cannot run."""

from journeys.errors import EngineUnavailable


class EmbeddedStackError(EngineUnavailable):
    """The embedded stack cannot start or go on.

    Its message is one line for a terminal: what is wrong, and what to do about it.
    """


class PortTakenError(EmbeddedStackError):
    """A server lost the race for a port that was free a moment before."""
