"""No unit test starts a server."""

import pytest


@pytest.fixture(scope="session")
def stack() -> None:
    """Fail instead of starting the embedded servers, which every fixture of a journey builds on."""
    pytest.fail("a unit test asks for a server: it belongs in another folder", pytrace=False)
