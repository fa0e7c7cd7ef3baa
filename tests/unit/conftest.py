"""No unit test starts a server."""

import pytest


@pytest.fixture(scope="session")
def stack() -> None:
    """Stand in the way of the embedded servers, which every fixture of a journey builds on."""
    pytest.fail("a unit test asks for a server: it belongs into another folder", pytrace=False)
