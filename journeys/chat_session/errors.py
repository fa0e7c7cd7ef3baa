"""The errors that only chat sessions have; see `journeys.errors` for the tree."""

from journeys.chat_session.names import WORKFLOW_ID_PREFIX
from journeys.errors import InvalidParameter, JourneyError


class SessionNotFound(JourneyError):  # noqa: N818 - named as the contract's code
    """This tenant and user have no such session. The error does not say whether others have it."""

    code = "SESSION_NOT_FOUND"

    def __init__(self, message: str = "no such session for this tenant and user", *, field: str = "") -> None:
        super().__init__(message, field=field)


class SessionNotActive(JourneyError):  # noqa: N818
    """The session is archived; make it active again first."""

    code = "SESSION_NOT_ACTIVE"

    def __init__(self, message: str = "the session is archived; reopen it first", *, field: str = "") -> None:
        super().__init__(message, field=field)


class ContextTooLarge(JourneyError):  # noqa: N818
    """The change, or the context that it would make, has more bytes than its limit allows."""

    code = "CONTEXT_TOO_LARGE"


def wrong_workflow_id() -> InvalidParameter:
    """The error for a run of the journey whose workflow ID is not that of a session."""
    return InvalidParameter(
        f"chat_session_id: the workflow ID of a session is {WORKFLOW_ID_PREFIX}<chat_session_id>",
        field="chat_session_id",
    )
