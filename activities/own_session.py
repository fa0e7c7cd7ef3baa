"""Which session an activity may write to: only that of the workflow it runs in."""

from temporalio import activity

from journeys.chat_session.keys import is_session_id


def own_session_id(workflow_type: str, prefix: str) -> str | None:
    """The session of the workflow that this activity runs in, from the workflow's ID.

    Args:
        workflow_type: The type that the workflow must have.
        prefix: The prefix that the workflow's ID must have.

    Returns:
        The session's ID; None if the activity runs standalone or in another workflow.
    """
    info = activity.info()
    workflow_id = info.workflow_id or ""
    chat_session_id = workflow_id.removeprefix(prefix)
    is_own = info.workflow_type == workflow_type and workflow_id.startswith(prefix)
    return chat_session_id if is_own and is_session_id(chat_session_id) else None
