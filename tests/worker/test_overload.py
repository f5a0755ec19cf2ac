"""Jobs that block the event loop, on a real worker: it uses fewer slots, and shows that."""

from __future__ import annotations

import dataclasses
import logging
import time

import pytest

from pgqueue import App
from pgqueue.worker.timings import TIMINGS, OverloadTimings
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = [pytest.mark.one_pg, pytest.mark.one_turn]

QUICK = dataclasses.replace(
    TIMINGS,
    plan=dataclasses.replace(
        TIMINGS.plan, overload=OverloadTimings(lag=0.1, bad_looks=2, good_looks=2)
    ),
    watch=dataclasses.replace(TIMINGS.watch, tick=0.05, tick_at_rest=0.05),
)


async def test_a_worker_whose_loop_lags_uses_fewer_slots_and_says_so(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    blocking = True

    @app.task
    async def block() -> None:
        if blocking:
            time.sleep(0.15)  # noqa: ASYNC251  (that is the mistake)
            await block.aenqueue()

    await app.aenqueue_many([block.job() for _ in range(8)])
    async with working(app, concurrency=8, timings=QUICK) as worker:
        overload = worker.machines.claimer.intake.overload
        await eventually(lambda: overload.is_on)
        await eventually(lambda: worker.machines.heartbeat_thread.heartbeats > 2)

        async def shown() -> bool:
            (info,) = await app.aworkers()
            return info.state == "overloaded" and info.allowed_slots is not None

        await eventually(shown)
        assert caplog.text.count("this worker uses 4 of its 8 slots") == 1
        blocking = False
        await eventually(lambda: not overload.is_on)

        async def shown_well() -> bool:
            (info,) = await app.aworkers()
            return info.state == "alive" and info.allowed_slots is None

        await eventually(shown_well)
    assert "not overloaded any more: all 8 slots are used" in caplog.text
