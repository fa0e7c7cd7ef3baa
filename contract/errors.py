"""What can go wrong, as every interface reports it.

* JourneyError
  * InvalidParameter: the request does not fit the contract; it will not fit later either.
  * SessionNotFound: there is no such session for this tenant and user.
  * ContextTooLarge: the change, or the context it would make, is over its limit.
  * RevisionConflict: the change was written against a revision that is not the current one.
  * IdempotencyConflict: the key was used before, for another change.
  * DatabaseUnavailable: a store cannot be reached; the same request works later.
  * EngineUnavailable: Temporal or a worker cannot be reached; the same request works later.

A `JourneyError` has changed nothing. Its `code` is the Temporal application error type, its `field` names the
field of the request that is at fault ("" where no single one is).
"""

from typing import ClassVar


class JourneyError(Exception):
    """Base of the contract's errors; see the module's docstring for the tree."""

    code: ClassVar[str]

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InvalidParameter(JourneyError):  # noqa: N818 - named as the contract's code
    """The request does not fit the contract."""

    code = "INVALID_PARAMETER"


class SessionNotFound(JourneyError):  # noqa: N818
    """No such session for this tenant and user; whether it exists for others is not said."""

    code = "SESSION_NOT_FOUND"

    def __init__(self, message: str = "no such session for this tenant and user", *, field: str = "") -> None:
        super().__init__(message, field=field)


class ContextTooLarge(JourneyError):  # noqa: N818
    """The change, or the context it would make, is over its limit in bytes."""

    code = "CONTEXT_TOO_LARGE"


class RevisionConflict(JourneyError):  # noqa: N818
    """`base_revision` is not a revision that this change can be applied to."""

    code = "REVISION_CONFLICT"


class IdempotencyConflict(JourneyError):  # noqa: N818
    """The idempotency key already stands for another change of this session."""

    code = "IDEMPOTENCY_CONFLICT"


class DatabaseUnavailable(JourneyError):  # noqa: N818
    """A store cannot be reached now; what was accepted waits, what was not can be sent again."""

    code = "DATABASE_UNAVAILABLE"


class EngineUnavailable(JourneyError):  # noqa: N818
    """Temporal or a worker cannot be reached now; the same request can be sent again."""

    code = "ENGINE_UNAVAILABLE"


ERRORS: dict[str, type[JourneyError]] = {
    error.code: error
    for error in (
        InvalidParameter,
        SessionNotFound,
        ContextTooLarge,
        RevisionConflict,
        IdempotencyConflict,
        DatabaseUnavailable,
        EngineUnavailable,
    )
}
"""The error classes by their codes."""
