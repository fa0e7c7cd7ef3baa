"""The command `journey schema`: the JSON Schemas of messages and answers."""

import json as standard_json
from typing import Annotated

import typer

from journeys.chat_session.schemas import chat_session_schemas
from starter.cli.command import Json, facts, out, print_json


def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A schema's name, like update_chat_context.request.",
            autocompletion=lambda: list(chat_session_schemas()),
        ),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Print the JSON Schema of a message or an answer; without NAME, list the names.

    With --json and without NAME, all schemas are printed as one object.
    """
    schemas = chat_session_schemas()
    if name is None:
        if json:
            print_json(schemas)
        else:
            out.print(facts({each: about["description"].partition("\n")[0] for each, about in schemas.items()}))
        return
    if name not in schemas:
        raise typer.BadParameter(f"no such schema; known are {', '.join(schemas)}", param_hint="NAME")
    if json:
        print_json(schemas[name])
    else:
        print(standard_json.dumps(schemas[name], indent=2))
