"""The schemas as `docs/schemas` keeps them, and whether real messages fit them.

`make schemas` runs this module and writes the files.
"""

import json
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator

from journeys.chat_session.schemas import ANSWERS, chat_session_schemas
from tests.support.paths import REPOSITORY

SCHEMAS: Final = REPOSITORY / "docs" / "schemas"


def schema_files() -> dict[str, str]:
    """The files that belong in the folder: name and text."""
    return {f"{name}.json": json.dumps(schema, indent=2) + "\n" for name, schema in chat_session_schemas().items()}


@cache
def _validators() -> dict[str, Draft202012Validator]:
    return {name: Draft202012Validator(schema) for name, schema in chat_session_schemas().items()}


def misfits(name: str, message: Any) -> list[str]:
    """Why a message does not fit a schema; empty if it does."""
    return [f"{error.json_path}: {error.message[:200]}" for error in _validators()[name].iter_errors(message)]


def assert_exchange_fits(intent: str, request: Any, answer: Any) -> None:
    """A request that was answered fits its schema, and so does the answer; other journeys' intents have none."""
    if intent in ANSWERS:
        assert not misfits(f"{intent}.request", request)
        assert not misfits(f"{intent}.answer", answer)


def main() -> None:
    """Write the files, and remove those that no longer belong there."""
    SCHEMAS.mkdir(exist_ok=True)
    wanted = schema_files()
    for file in SCHEMAS.iterdir():
        if file.name not in wanted:
            file.unlink()
    for name, text in wanted.items():
        (SCHEMAS / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
