"""What can go wrong, as every interface reports it.

* JourneyError
  * InvalidParameter: the request does not fit the contract; it will not fit later either.
  * RevisionConflict: the change was written against a revision that is not the current one.
  * IdempotencyConflict: the key was used before, for another change.
  * DatabaseUnavailable: a store cannot be reached; the same request works later.
  * EngineUnavailable: Temporal or a worker cannot be reached; the same request works later.
  * SessionNotFound, ContextTooLarge: `journeys.chat_session.errors`

A `JourneyError` has changed nothing. Its `code` is the Temporal application error type, its `field` names the
field of the request that is at fault ("" if no single field is). A journey defines errors of its own by subclassing
`JourneyError` with a `code`; that is all it takes for them to travel through Temporal.
"""

from typing import ClassVar, Final


class JourneyError(Exception):
    """Base of the contract's errors; see the module's docstring for the tree."""

    code: ClassVar[str]

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" in vars(cls):
            ERRORS[cls.code] = cls

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


ERRORS: Final[dict[str, type[JourneyError]]] = {}
"""The error classes by their codes."""


class InvalidParameter(JourneyError):  # noqa: N818 - named as the contract's code
    """The request does not fit the contract."""

    code = "INVALID_PARAMETER"


class RevisionConflict(JourneyError):  # noqa: N818
    """`base_revision` is not a revision that this change can be applied to."""

    code = "REVISION_CONFLICT"


class IdempotencyConflict(JourneyError):  # noqa: N818
    """The idempotency key already stands for another change."""

    code = "IDEMPOTENCY_CONFLICT"


class DatabaseUnavailable(JourneyError):  # noqa: N818
    """A store cannot be reached now; what was accepted waits, what was not can be sent again."""

    code = "DATABASE_UNAVAILABLE"


class EngineUnavailable(JourneyError):  # noqa: N818
    """Temporal or a worker cannot be reached now; the same request can be sent again."""

    code = "ENGINE_UNAVAILABLE"
