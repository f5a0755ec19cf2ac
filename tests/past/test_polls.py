"""Family H, what starts together polls together; in simulated time."""

from __future__ import annotations

import asyncio
import random

import pytest

from pgqueue.worker.claim.looks import Looks
from tests.sim.clock import simulated
from tests.sim.fleet import Fleet, Server


@pytest.mark.past_bug(116)
@pytest.mark.parametrize("listen", [True, False])
def test_polls_of_a_fleet_spread(listen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty workers that polled in the same moment, each about every five seconds."""
    poll = Looks.poll
    moments: list[float] = []

    async def noted(self: Looks, room: int) -> None:
        moments.append(asyncio.get_running_loop().time())
        await poll(self, room)

    monkeypatch.setattr(Looks, "poll", noted)

    async def play() -> None:
        server = Server(random.Random(1))
        fleet = Fleet(server, 20, listen=listen, poll_interval=5.0)
        await asyncio.sleep(15.0)
        moments.clear()
        for worker in fleet.workers:
            worker.claimer.plan.poll_at = 0.0
            worker.claimer.on_ready(())
        await asyncio.sleep(100.0)
        await fleet.end()

    simulated(play(), monkeypatch)

    def most(moments: list[float]) -> int:
        """How many came within half a second."""
        return max(sum(1 for m in moments if 0 <= m - start < 0.5) for start in moments)

    assert most([moment for moment in moments if moment < 20.0]) >= 20
    late = [moment for moment in moments if moment > 105.0]
    assert len(late) >= 20
    assert most(late) <= 10
