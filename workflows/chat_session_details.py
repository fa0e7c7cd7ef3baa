"""The search attributes, details and summaries of a session's run, for the Web UI."""

from temporalio import workflow

from journeys.chat_session.refusals import Refusals
from journeys.chat_session.session import ChatSessionReceipt
from journeys.identifiers import timestamp
from journeys.search_attributes import ACTIVE_AGENT, TENANT_ID, USER_ID


def upsert_search_attributes(session: ChatSessionReceipt) -> None:
    """Bring the search attributes up to the session; they cost a history event only if one of them has changed."""
    shown = workflow.info().typed_search_attributes
    wanted = {TENANT_ID: session.tenant_id, USER_ID: session.user_id, ACTIVE_AGENT: session.active_agent}
    changed = [key.value_set(value) for key, value in wanted.items() if shown.get(key) != value]
    if changed:
        workflow.upsert_search_attributes(changed)


def set_details(session: ChatSessionReceipt, *, waiting: int, refusals: Refusals, note: str) -> None:
    """Set the details of the run; they cost no history event.

    Args:
        session: As both stores hold it.
        waiting: How many messages wait.
        refusals: The signals that were refused.
        note: Anything else that people should know.
    """
    lines = [f"**{session.active_agent}** leads. Revision **{session.revision}** of {timestamp(session.updated_at)}."]
    if waiting:
        lines.append(f"At least **{waiting}** messages wait; see Pending Activities if that lasts.")
    if refusals.count:
        last = refusals.last[-1]
        lines.append(f"Refused signals: **{refusals.count}**, lastly {last.code} {last.field} at {timestamp(last.at)}.")
    if note:
        lines.append(note)
    workflow.set_current_details("\n\n".join(lines))


def batch_summary(session: ChatSessionReceipt | None, messages: int) -> str:
    """An activity's purpose in one line: how many messages it decides, and at which revision."""
    count = "1 message" if messages == 1 else f"{messages} messages"
    if session is None:
        return f"load or create the session, and decide {count}" if messages else "load or create the session"
    return f"decide {count} at revision {session.revision}" if messages else "look at the session"
