"""Whether a server is away and may come back, or something is set wrong."""

from __future__ import annotations

import errno
import socket
import ssl

from pgqueue.db.faults import Contended, is_connection_loss
from pgqueue.errors import OutcomeUnknown, Unreachable

__all__ = ["is_away"]

# Connection exceptions, too few resources (as connections), and operators' interventions: starting
# up, shutting down, recovering.
_CLASSES = ("08", "53", "57")
_ERRNOS = frozenset(
    {
        errno.EAGAIN, errno.ECONNREFUSED, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN,
        errno.ENETUNREACH, errno.ENOENT, errno.ETIMEDOUT,
    }
)  # fmt: skip

_NEVER = ("no such", "unsupported startup parameter")


def is_away(error: BaseException) -> bool:
    """True if the same may succeed later, with nothing changed but the server."""
    if isinstance(error, (OutcomeUnknown, Contended)):
        return True
    cause = error.__cause__
    if not isinstance(error, Unreachable) or cause is None:
        return False
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        # PgBouncer has one code for all that it refuses.
        return state[:2] in _CLASSES and not str(cause).startswith(_NEVER)
    if isinstance(cause, ssl.SSLError):
        return isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
    if isinstance(cause, (socket.gaierror, ConnectionError, TimeoutError)):
        return "rejected SSL" not in str(cause)  # it has none, and the dsn demands it
    if isinstance(cause, OSError):
        # No number: the addresses of a name failed for different reasons. A file: one of the dsn's.
        return cause.errno is None or (cause.errno in _ERRNOS and cause.filename is None)
    return is_connection_loss(cause) and not isinstance(cause, ValueError)
