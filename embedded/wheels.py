"""Find the server programs in the wheels of the dependency group `embedded`."""

import importlib.metadata
from pathlib import Path

from embedded.errors import EmbeddedStackError


def wheel_program(distribution: str, name: str) -> Path:
    """Find a program of an installed wheel without importing the wheel.

    Args:
        distribution: The wheel's name, as in a requirement.
        name: The program's file name.

    Returns:
        The program's full path.

    Raises:
        EmbeddedStackError: The wheel is not installed, or has no program of this name for this platform.
    """
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise EmbeddedStackError(
            f"{distribution} is not installed: run `make setup`, or install the dependency group `embedded`"
        ) from error
    for file in files:
        # The wheel's record lists a script relative to site-packages; `locate` gives the path where it is installed.
        if file.name == name and file.parent.name == "bin":
            program = Path(str(file.locate())).resolve()
            if program.is_file():
                return program
    raise EmbeddedStackError(f"the installed {distribution} has no program {name}: reinstall {distribution}")
