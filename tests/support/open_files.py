"""The limit of this process's open files; each connection is one."""

import resource
from typing import Final

# For a system that names no limit.
_ENOUGH: Final = 65_536


def open_files_limit() -> int:
    """The open files that the system allows this process, and each process that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH if hard == resource.RLIM_INFINITY else hard


def raise_open_files_limit() -> None:
    """Raise this process's own limit to the one that the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files_limit(), hard))
