"""The fixture that tests of several interfaces share: a store that is away."""

import socket
from collections.abc import Iterator

import pytest
from pydantic import SecretStr


@pytest.fixture
def unserved_store() -> Iterator[SecretStr]:
    """The URL of a store that nobody serves."""
    with socket.socket() as taken:  # so that nobody else takes the port meanwhile
        taken.bind(("127.0.0.1", 0))
        yield SecretStr(f"postgresql://postgres@127.0.0.1:{taken.getsockname()[1]}/postgres")
