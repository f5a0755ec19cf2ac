"""A forked process lets go of its parent's sessions, so that they end when the parent does.

A fork shares every socket, and the server sees the end of a session only when the last process has
closed it: a worker that was killed would look alive for as long as what one of its jobs forked. So
in the child each of our sockets is replaced by /dev/null. It is not closed, for the number would
soon be that of another file, which the connection's object would close at its end; and it is not
shut down, for that would end the session of the parent.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any
from weakref import WeakSet

__all__ = ["note_session"]

_sessions: WeakSet[Any] = WeakSet()


def note_session(session: Any) -> None:
    """Let no forked process keep this socket, or the connection of asyncpg or psycopg."""
    _sessions.add(session)


def _descriptor(session: Any) -> int:
    if hasattr(session, "fileno"):
        return session.fileno()  # type: ignore[no-any-return]
    return session._transport.get_extra_info("socket").fileno()  # type: ignore[no-any-return]


def _let_go() -> None:
    sessions = list(_sessions)
    _sessions.clear()
    if not sessions:
        return
    null = os.open(os.devnull, os.O_RDWR)
    for session in sessions:
        with suppress(Exception):  # it is closed
            descriptor = _descriptor(session)
            if descriptor >= 0:
                os.dup2(null, descriptor, inheritable=False)
    os.close(null)


os.register_at_fork(after_in_child=_let_go)
