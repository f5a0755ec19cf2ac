"""Why a connection could not be opened, in words that say what to do where we know it."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterator

from pgqueue.dsn import without_passwords

__all__ = ["POOLER", "why_not_connected"]

POOLER = (
    'App(dsn, pgbouncer=True) is for PgBouncer in transaction mode, pgbouncer="session" for its '
    "session mode"
)
"""How to say that the dsn leads through one."""


def why_not_connected(error: Exception, dsn: str) -> str:
    """Return why there is no connection; of the error's own text, what holds no password."""
    import asyncpg

    text = str(error) or type(error).__name__
    if "unsupported startup parameter" in text:
        return f"{text}: the dsn leads through a pooler; {POOLER}"
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return (
            "none of its hosts is as target_session_attrs wants it; with several hosts that is "
            "read-write if the dsn says nothing: all are standbys, or read-only"
        )
    for number in _errnos(error):
        if number == errno.EMFILE:
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return (
                f"this process has no file descriptors left (limit {limit}); close what leaks "
                "them, or raise the limit (ulimit -n, LimitNOFILE)"
            )
        if number == errno.ENFILE:
            return "this machine has no file descriptors left (fs.file-max)"
    said = without_passwords(text, dsn)
    return f"{said}; {remedy}" if (remedy := _remedy(error)) else said


def _remedy(error: Exception) -> str:
    import asyncpg

    match error:
        case ConnectionRefusedError():
            return "does PostgreSQL run there, and listen?"
        case socket.gaierror():
            return "is the name of the host right?"
        case asyncpg.InvalidCatalogNameError():
            return "create it first, as with createdb"
        case asyncpg.InvalidPasswordError():
            return "is it that of this user, in the dsn, PGPASSWORD or ~/.pgpass?"
        case _:
            return ""


def _errnos(error: BaseException | None) -> Iterator[int]:
    """Yield the numbers of the errors behind this one, and of one that is there to be had now.

    The resolver of names says something else where it cannot open its files.
    """
    while error is not None:
        for number in (errno.EMFILE, errno.ENFILE):
            if isinstance(error, OSError) and (
                error.errno == number or f"[Errno {number}]" in str(error)
            ):
                yield number
        error = error.__cause__ or error.__context__
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as exc:
        yield exc.errno or 0
