"""A real Temporal server and a real PostgreSQL on this machine: for development, demonstrations and tests.

Both come as wheels with the extra `embedded` and run on loopback alone. Not for production.
"""

from worker.embedded.errors import EmbeddedStackError
from worker.embedded.postgres import EmbeddedPostgres
from worker.embedded.stack import EmbeddedStack, StackAddresses, embedded_stack
from worker.embedded.temporal_server import EmbeddedTemporal

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedStack",
    "EmbeddedStackError",
    "EmbeddedTemporal",
    "StackAddresses",
    "embedded_stack",
]
