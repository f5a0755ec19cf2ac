"""An embedded PostgreSQL: real servers for trying things out and for tests, no root needed.

A dsn of the form ``embedded:DIR`` names a server whose data lives in DIR. Whoever resolves it
first starts the server; it stops with its last user, however that user ended.
"""

from pgqueue.embedded.binaries import Binaries, find, installed
from pgqueue.embedded.cluster import Cluster
from pgqueue.embedded.server import is_embedded, join, leave, resolve

__all__ = [
    "Binaries",
    "Cluster",
    "find",
    "installed",
    "is_embedded",
    "join",
    "leave",
    "resolve",
]
