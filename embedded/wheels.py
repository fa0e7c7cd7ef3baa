"""Where the server programs are: in wheels that only the `embedded` extra installs."""

import importlib.metadata
from pathlib import Path

from embedded.errors import EmbeddedStackError


def wheel_program(distribution: str, name: str) -> Path:
    """Find a program that an installed wheel brought, without importing anything of it.

    Args:
        distribution: name of the wheel, as in a requirement.
        name: the program's file name.

    Raises:
        EmbeddedStackError: the wheel is not installed, or has no such program for this platform.
    """
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise EmbeddedStackError(f"{distribution} is not installed: install coexistence-journeys[embedded]") from error
    for file in files:
        # The record names scripts relative to the library directory; they were put where `locate` says.
        if file.name == name and file.parent.name == "bin":
            program = Path(str(file.locate())).resolve()
            if program.is_file():
                return program
    raise EmbeddedStackError(
        f"the installed {distribution} has no program {name}: reinstall coexistence-journeys[embedded]"
    )
