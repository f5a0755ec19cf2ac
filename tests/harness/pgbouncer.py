"""A real pgbouncer in transaction mode in front of a server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from pgqueue.embedded import account as accounts
from tests.harness.waiting import wait_until

__all__ = ["bouncer", "installed"]

_PORT = 6432
_CONFIG = """\
[databases]
* = host={host} port={port} user={user}

[pgbouncer]
listen_addr =
listen_port = {listen_port}
unix_socket_dir = {home}
unix_socket_mode = 0777
auth_type = any
pool_mode = {pool_mode}
default_pool_size = {pool_size}
max_client_conn = {most_clients}
ignore_startup_parameters = extra_float_digits
logfile = {home}/pgbouncer.log
pidfile = {home}/pgbouncer.pid
"""


def installed() -> str | None:
    """The path of the program; None if it is not there."""
    usual = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin"
    return shutil.which("pgbouncer", path=usual) or shutil.which("pgbouncer")


@contextmanager
def bouncer(
    dsn: str, *, pool_mode: str = "transaction", pool_size: int = 20, most_clients: int = 500
) -> Iterator[str]:
    """Run pgbouncer for the body, which gets the dsn of the same database through it."""
    program = installed()
    if program is None:
        from tests.harness.servers import missing  # pytest, which benchmarks do without

        missing("pgbouncer is not installed")
    target = conninfo_to_dict(dsn)
    account = accounts.current()
    home = Path(tempfile.mkdtemp(prefix="pgqueue-bouncer-"))
    config = home / "pgbouncer.ini"
    config.write_text(
        _CONFIG.format(
            host=target["host"],
            port=target.get("port") or 5432,
            user=target["user"],
            home=home,
            listen_port=_PORT,
            pool_mode=pool_mode,
            pool_size=pool_size,
            most_clients=most_clients,
        )
    )
    config.chmod(0o644)
    account.own(home)
    process = subprocess.Popen(
        [program, "--quiet", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=account.user,
        group=account.group,
        extra_groups=account.extra_groups,
    )
    try:
        wait_until(lambda: process.poll() is not None or _accepts(home), what="pgbouncer listens")
        log = home / "pgbouncer.log"
        assert process.poll() is None, log.read_text() if log.exists() else "pgbouncer ended"
        database = quote(str(target["dbname"]), safe="")
        yield f"postgresql://{target['user']}@/{database}?host={home}&port={_PORT}"
    finally:
        process.kill()  # at once, with its connections; SIGQUIT it may have been told to ignore
        process.wait(timeout=60)
        shutil.rmtree(home, ignore_errors=True)


def _accepts(home: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(home / f".s.PGSQL.{_PORT}"))
        except OSError:
            return False
    return True
