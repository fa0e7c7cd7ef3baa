"""Where things are in the checkout."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
HISTORIES = REPOSITORY / "tests" / "histories"
