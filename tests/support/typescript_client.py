"""The TypeScript client: build it, and renew the types that are made from the OpenAPI document.

python -m tests.support.typescript_client
"""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from starter.http.openapi.document import openapi_document
from tests.support.paths import REPOSITORY

CLIENT: Final = REPOSITORY / "clients" / "typescript"
TYPES: Final = CLIENT / "src" / "schema.ts"

_OPTIONS: Final = (
    "--default-non-nullable=false",
    *("--root-types", "--root-types-no-schema-prefix", "--root-types-keep-casing"),
)


def write_types(to: Path) -> None:
    """Write the types of every operation and schema."""
    document = json.dumps(openapi_document(version="1", has_dev_tokens=False))
    _run("openapi-typescript", *_OPTIONS, "--output", str(to), standard_input=document)


def build() -> None:
    """Compile the client and its tests."""
    _run("tsc", "--build", "test")


def compile_example(program: str) -> Path:
    """Compile a program that uses the client as others do; returns the file to run."""
    source = CLIENT / "dist" / "example" / "example.ts"
    source.parent.mkdir(exist_ok=True)
    source.write_text(program, "utf-8")
    _run("tsc", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", str(source))
    return source.with_suffix(".js")


def _run(tool: str, *arguments: str, standard_input: str = "") -> None:
    command = CLIENT / "node_modules" / ".bin" / tool
    if not command.exists():
        pytest.fail("the TypeScript client's tools are not installed: run `make test`, which needs npm", pytrace=False)
    done = subprocess.run(
        [command, *arguments],
        cwd=CLIENT,
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    write_types(TYPES)
