"""Findings from profiles, dated: they belong to the code of their day and not to the run that the page shows.

Whoever takes new profiles replaces all of this.
"""

from datetime import date
from typing import Final

TAKEN: Final = date(2026, 11, 25)
SOURCE: Final = "the journey's worker at 32 callers, as of commit 3336525, with SDK 1.35.0, on two cores"

FINDINGS: Final = {
    "CPU of the worker": (
        "A third of it was the SDK's core, and half of that was the kernel's work for sockets and for switching "
        "between threads (`perf`, by thread). Two thirds were Python: 44 % of them the SDK's Python code, 23 % "
        "asyncpg, 13 % the event loop, and 20 % the journey (`py-spy`, by owner of the code that holds the "
        "interpreter's lock). A local activity costs a second activation, because the SDK hands its result to the "
        "workflow in another one: the worker crosses between Python and the core six times instead of two."
    ),
    "Memory of a live session": (
        "As of 2026-11-27, after what the SDK kept of the last activation was released: of 72 KiB, about 45 were the "
        "SDK's core's (`heaptrack`), 14 the Python objects that the SDK makes for each run, and 8 the journey's own, "
        "above all the context (`tracemalloc`). The rest was the allocator's."
    ),
    "Cold resume": (
        "Of one call's 19 ms, the first attempt took 1.3 ms; it finds no live run. A look at the session's last run "
        "took 2 ms; it keeps invented IDs from leaving runs behind. The start took 13 ms, with one local activity that "
        "loads and writes in four round trips. `bare` has only the first attempt and the start."
    ),
}
