"""A login is changed under a supervisor: its children go on, and it gives back what one held."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.e2e.service import Queue, Service
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.one_pg

APP = """
import asyncio, os
from pathlib import Path
import pgqueue

HOME = Path(__file__).parent
app = pgqueue.App((HOME / "secret").read_text)

@app.task
async def gated(n: int) -> None:
    with (HOME / "trace").open("a") as trace:
        trace.write(f"begin {n} {os.getpid()}\\n")
    while not (HOME / "gate").exists():
        await asyncio.sleep(0.01)
"""


def test_a_login_that_is_changed_under_a_supervisor(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "rotating.py").write_text(APP)
    secret, execute = tmp_path / "secret", queue.connection.execute
    roles = [f"rotating_{os.getpid()}_{n}" for n in range(2)]
    logins = [make_conninfo(**{**conninfo_to_dict(queue.dsn), "user": role}) for role in roles]
    for role in roles:
        execute(f"create role {role} superuser login")  # type: ignore[arg-type]
    secret.write_text(logins[0])
    job = queue.enqueue("gated", n=1)
    options = ("--processes", "2", "--lease", "600", "--heartbeat", "180")
    try:
        with Service(queue, *options, target="rotating:app") as service:
            service.until_started()
            victim = queue.until_begun(1)[1]
            secret.write_text(logins[1])
            execute(f"alter role {roles[0]} nologin")  # type: ignore[arg-type]
            psutil.Process(victim).kill()
            # Nothing but the supervisor can be that quick: a lease is ten minutes.
            wait_until(
                lambda: {pid for _, pid in queue.trace("begin")} - {victim},
                what="the job of the killed process runs again",
            )
            queue.open()
            queue.until_state("completed", job)
            service.send(15)
            assert service.wait(60) == 0
    finally:
        execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = any (%s)",
            [roles],
        )
        for role in roles:
            execute(f"drop owned by {role}")  # type: ignore[arg-type]
            execute(f"drop role {role}")  # type: ignore[arg-type]
