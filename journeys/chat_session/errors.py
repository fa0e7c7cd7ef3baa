"""The errors that only chat sessions have; see `journeys.errors` for the tree."""

from journeys.errors import JourneyError


class SessionNotFound(JourneyError):  # noqa: N818 - named as the contract's code
    """No such session for this tenant and user; whether it exists for others is not said."""

    code = "SESSION_NOT_FOUND"

    def __init__(self, message: str = "no such session for this tenant and user", *, field: str = "") -> None:
        super().__init__(message, field=field)


class ContextTooLarge(JourneyError):  # noqa: N818
    """The change, or the context it would make, is over its limit in bytes."""

    code = "CONTEXT_TOO_LARGE"
