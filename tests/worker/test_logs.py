"""A worker inside another program: its heartbeat does not wait for that program's log handlers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from pgqueue import App
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

ROUTES = ["direct"]


class Stuck(logging.Handler):
    """A handler that does not return from what the heartbeat thread has to say."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "lease cannot be renewed" in record.getMessage():
            self.came.set()
            assert self.gate.wait(60)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    handler = Stuck()
    logging.getLogger().addHandler(handler)
    yield handler
    handler.gate.set()
    logging.getLogger().removeHandler(handler)


@pytest.mark.report("f07")
async def test_a_stuck_handler_stops_no_heartbeat(app: App, eyes: Eyes, stuck: Stuck) -> None:
    @app.task
    async def noop() -> None: ...

    async with working(app, lease=60.0) as worker:

        async def said() -> bool:
            await eyes.terminate("heartbeat")
            return stuck.came.is_set()

        await eventually(said, timeout_s=60, what="the heartbeat thread logs something")
        heartbeats = worker.machines.heartbeat_thread.heartbeats
        await eventually(
            lambda: worker.machines.heartbeat_thread.heartbeats > heartbeats + 2, timeout_s=60
        )
        assert not stuck.gate.is_set()
