"""What a run did and what was found, for people and for programs."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from journeys.messages import Record
from tests.chaos.evidence import Call
from tests.chaos.findings import FLAWS, Finding
from tests.chaos.plan import Plan
from tests.chaos.retried_batches import retried_batches
from tests.chaos.run import Run

_SHOWN = 20


class Report(Record):
    """One run as one JSON object.

    Attributes:
        operations: How many calls there were, by kind and outcome.
        hostile: How many messages were meant to stop a session, by kind and outcome.
        retried: How many batches were stored although their workflow task failed, and how many of these were decided
            again together with other messages.
        refusals: Refused calls by code.
        durations: Seconds until a call was answered, by kind: median and slowest.
        harm: How many strikes there were, by harm and kind of target.
        seconds_out: How long each server, or the link to it, was out.
        found: Broken promises by flaw.
        findings: The broken promises themselves.
    """

    seed: int
    duration: float
    seconds: float
    plan: tuple[str, ...]
    operations: dict[str, dict[str, int]]
    hostile: dict[str, dict[str, int]]
    retried: tuple[int, int]
    refusals: dict[str, int]
    durations: dict[str, tuple[float, float]]
    duplicates: int
    sessions: int
    revisions: int
    runs: int
    worker_ends: int
    harm: dict[str, int]
    seconds_out: dict[str, float]
    found: dict[str, int]
    findings: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return not self.findings


def report_of(plan: Plan, run: Run, findings: Sequence[Finding]) -> Report:
    """Sum up a run."""
    calls = run.evidence.calls
    kinds = sorted({call.kind for call in calls})
    by_kind = {kind: [call for call in calls if call.kind == kind] for kind in kinds}
    hostile = {(call.hostile, call.kind) for call in calls if call.hostile}
    retried = list(retried_batches(run.evidence))
    return Report(
        seed=plan.seed,
        duration=plan.duration,
        seconds=round(run.seconds, 1),
        plan=tuple(map(str, plan.strikes)),
        operations={kind: dict(Counter(call.outcome for call in each)) for kind, each in by_kind.items()},
        hostile={
            f"{name}: {kind}": dict(
                Counter(call.outcome for call in calls if (call.hostile, call.kind) == (name, kind))
            )
            for name, kind in sorted(hostile)
        },
        retried=(len(retried), sum(bool(each.beside) for each in retried)),
        refusals=dict(Counter(call.code or "" for call in calls if call.outcome == "refused")),
        durations={kind: _durations(each) for kind, each in by_kind.items()},
        duplicates=sum(1 for call in calls if call.answer and call.answer.duplicate),
        sessions=len(run.evidence.stored),
        revisions=sum(session.revision for session in run.evidence.stored),
        runs=sum(run.evidence.workflow_ids.values()),
        worker_ends=run.worker_ends,
        harm=dict(sorted(run.damage.strikes.items())),
        seconds_out={name: round(seconds, 1) for name, seconds in sorted(run.damage.seconds_out.items())},
        found={flaw: sum(finding.flaw == flaw for finding in findings) for flaw in FLAWS},
        findings=tuple(f"{finding.flaw}: {finding.chat_session_id}: {finding.what}" for finding in findings),
    )


def shown(report: Report) -> RenderableType:
    """A report for people."""
    sent = Table("calls", "done", "refused", "unknown", "median", "slowest", title="What was sent")
    for kind, outcomes in report.operations.items():
        median, slowest = report.durations[kind]
        numbers = (str(outcomes.get(outcome, 0)) for outcome in ("done", "refused", "unknown"))
        sent.add_row(kind, *numbers, f"{median * 1000:.0f} ms", f"{slowest:.1f} s")
    hostile = Table("of these", "done", "refused", "unknown", title="What was meant to stop a session")
    for name, outcomes in report.hostile.items():
        hostile.add_row(name, *(str(outcomes.get(outcome, 0)) for outcome in ("done", "refused", "unknown")))
    harm = Table("harm", "times", title="What was done to them")
    for what, times in report.harm.items():
        harm.add_row(what, str(times))
    for what, seconds in report.seconds_out.items():
        harm.add_row(f"{what} out or disturbed", f"{seconds:.1f} s")
    found = Table("flaw", "times", "which is", title="What was found")
    for flaw, meaning in FLAWS.items():
        times = report.found[flaw]
        found.add_row(flaw, str(times), meaning, style="red" if times else None)
    refusals = ", ".join(f"{code} {count}" for code, count in sorted(report.refusals.items())) or "none"
    lines = [
        f"refused: {refusals}; known already: {report.duplicates}",
        f"{report.sessions} sessions with {report.revisions} revisions in {report.runs} workflow runs; "
        f"workers ended by themselves {report.worker_ends} times",
        f"batches that were stored although their workflow task failed: {report.retried[0]}; of these, decided again "
        f"together with other messages: {report.retried[1]}",
        *report.findings[:_SHOWN],
    ]
    if len(report.findings) > _SHOWN:
        lines.append(f"... and {len(report.findings) - _SHOWN} more; --keep DIR writes all of them down")
    lines.append(
        f"seed {report.seed}, {report.duration:.0f} s: "
        + ("every promise was kept" if report.kept else f"{len(report.findings)} promises were BROKEN")
    )
    return Group(sent, hostile, harm, found, *lines)


def _durations(calls: Sequence[Call]) -> tuple[float, float]:
    took = sorted(call.ended_at - call.invoked_at for call in calls if call.ended_at and call.outcome == "done")
    return (round(took[len(took) // 2], 4), round(took[-1], 2)) if took else (0.0, 0.0)
