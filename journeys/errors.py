"""The errors of the contract, which every interface reports.

* JourneyError
  * InvalidParameter: the request does not fit the contract, and will not fit later.
  * RevisionConflict: `base_revision` is not the current revision.
  * IdempotencyConflict: the key was used before, for another change.
  * DatabaseUnavailable: a store cannot be reached; send the same request again later.
  * EngineUnavailable: Temporal or a worker cannot be reached; send the same request again later.
  * SessionNotFound, SessionNotActive, ContextTooLarge: `journeys.chat_session.errors`

A request that fails with one of these errors has changed nothing. There is one exception: after `DatabaseUnavailable`
or `EngineUnavailable`, a change that was accepted may still be applied. Their attribute `outcome` says whether the
change was accepted.

The `code` of an error is the type of Temporal's application error. Its `field` names the field of the request that is
at fault, or is "" if no single field is. To define an error of its own, a journey subclasses `JourneyError` with a
`code`; Temporal then carries it like the others.
"""

from typing import ClassVar, Final, Literal

Acceptance = Literal["accepted", "not accepted", "unknown"]
"""Whether the journey accepted a change, and so will decide it; `unknown` if the client cannot find out."""


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
"""The error classes by code."""


def error_of(code: str, text: str, *, field: str = "") -> JourneyError:
    """The error with a code; `InvalidParameter` with the same text for a code that only a newer release knows."""
    return ERRORS.get(code, InvalidParameter)(text, field=field)


class InvalidParameter(JourneyError):  # noqa: N818 - named as the contract's code
    """The request does not fit the contract."""

    code = "INVALID_PARAMETER"


class RevisionConflict(JourneyError):  # noqa: N818
    """The change cannot be applied to its `base_revision`, which is not the session's current one."""

    code = "REVISION_CONFLICT"


class IdempotencyConflict(JourneyError):  # noqa: N818
    """The idempotency key was used before, for another change."""

    code = "IDEMPOTENCY_CONFLICT"


class _Unavailable(JourneyError):  # noqa: N818
    """Something that the call needs cannot be reached.

    Attributes:
        outcome: Whether the change was accepted. If it was, do not send it again without its `idempotency_key`. If that
            is unknown, send it again under the same key.
    """

    def __init__(self, message: str, *, field: str = "", outcome: Acceptance = "unknown") -> None:
        super().__init__(message, field=field)
        self.outcome: Acceptance = outcome


class DatabaseUnavailable(_Unavailable):
    """A store cannot be reached now. An accepted change waits for it; any other request can be sent again."""

    code = "DATABASE_UNAVAILABLE"


class EngineUnavailable(_Unavailable):
    """Temporal or a worker cannot be reached now. The same request can be sent again."""

    code = "ENGINE_UNAVAILABLE"
