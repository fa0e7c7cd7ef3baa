"""How many files this process may open, each connection being one."""

import resource
from typing import Final

# For a system that names no limit.
_ENOUGH: Final = 65_536


def open_files_limit() -> int:
    """How many open files the system lets this process have, and each that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH if hard == resource.RLIM_INFINITY else hard


def raise_open_files_limit() -> None:
    """Allow this process as many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files_limit(), hard))
