"""A real Temporal server and a real PostgreSQL on this machine: for development, demonstrations and tests.

Both programs come in wheels of the dependency group `embedded`. The servers listen on loopback only. Not for
production.
"""

from embedded.errors import EmbeddedStackError
from embedded.postgres import EmbeddedPostgres
from embedded.stack import EmbeddedStack, StackAddresses, embedded_stack
from embedded.temporal_server import EmbeddedTemporal

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedStack",
    "EmbeddedStackError",
    "EmbeddedTemporal",
    "StackAddresses",
    "embedded_stack",
]
