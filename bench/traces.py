"""The length of workflow histories, and their growth."""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client


@dataclass(frozen=True, slots=True)
class Extent:
    """The length of a workflow's newest run.

    Attributes:
        events: Of the run's history.
        size: Of the run's history in bytes, as the server counts it.
    """

    run_id: str
    events: int
    size: int


@dataclass(frozen=True, slots=True)
class Growth:
    """The growth of workflow histories.

    Attributes:
        workflow_tasks: Completed ones.
        size: In bytes.
    """

    workflow_tasks: int
    events: int
    size: int


async def read_extents(client: Client, workflow_ids: Sequence[str]) -> list[Extent]:
    found = []
    for workflow_id in workflow_ids:
        described = await client.get_workflow_handle(workflow_id).describe()
        info = described.raw_description.workflow_execution_info
        found.append(Extent(described.run_id, info.history_length, info.history_size_bytes))
    return found


async def measure_growth(client: Client, workflow_ids: Sequence[str], before: Sequence[Extent] | None = None) -> Growth:
    """Measure how much workflows have grown, over all runs of their newest chain.

    Args:
        client: Connected to their server.
        workflow_ids: Of the workflows.
        before: Their extents before; None to count from the beginning of the chain.
    """
    tasks = events = size = 0
    for place, workflow_id in enumerate(workflow_ids):
        earlier = before[place] if before else None
        run_id: str | None = None
        while run_id != "":
            described = await client.get_workflow_handle(workflow_id, run_id=run_id).describe()
            info = described.raw_description.workflow_execution_info
            known = earlier if earlier and earlier.run_id == described.run_id else Extent(described.run_id, 0, 0)
            events += info.history_length - known.events
            size += info.history_size_bytes - known.size
            handle = client.get_workflow_handle(workflow_id, run_id=described.run_id)
            continued = ""
            async for event in handle.fetch_history_events():
                if event.event_id == 1:
                    continued = event.workflow_execution_started_event_attributes.continued_execution_run_id
                if event.event_id > known.events and event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                    tasks += 1
            run_id = "" if known is earlier else continued
    return Growth(tasks, events, size)
