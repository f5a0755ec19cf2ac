"""PgBouncer in transaction mode in front of the server, with a pool of 20."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from benchmarks.cluster import Database
from benchmarks.systems.base import Failed, Missing
from pgqueue.embedded import account as accounts

__all__ = ["POOL", "pooled"]

POOL = 20
_PORT = 6432
_START_SECONDS = 30.0
_PATH = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin"
_CONFIG = """\
[databases]
* = host={host} port=5432 user=postgres

[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {home}
unix_socket_mode = 0777
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 2000
ignore_startup_parameters = extra_float_digits
logfile = {home}/pgbouncer.log
"""


@contextmanager
def pooled(database: Database) -> Iterator[str]:
    """Run it for the body, which gets the dsn of the database through it."""
    program = shutil.which("pgbouncer", path=_PATH) or shutil.which("pgbouncer")
    if program is None:
        raise Missing("pgbouncer is not installed")
    account = accounts.current()
    home = Path(tempfile.mkdtemp(prefix="pgqueue-bench-pooler-"))
    config = home / "pgbouncer.ini"
    host = database.server.cluster.socket_dir
    config.write_text(_CONFIG.format(host=host, home=home, port=_PORT, pool=POOL))
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
        _wait(process, home)
        name = quote(database.name, safe="")
        yield f"postgresql://postgres@/{name}?host={quote(str(home), safe='/')}&port={_PORT}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(home / f".s.PGSQL.{_PORT}"))
                return
            except OSError:
                pass
        if process.poll() is not None or time.monotonic() > deadline:
            log = home / "pgbouncer.log"
            said = log.read_text(errors="replace")[-500:] if log.exists() else "nothing"
            raise Failed(f"pgbouncer did not start; it said: {said}")
        time.sleep(0.02)
