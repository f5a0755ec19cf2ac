"""The mix of jobs, and the rate at which they start, without a server."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence

from benchmarks.systems.base import APPS
from benchmarks.watch import Stamp
from benchmarks.workloads.mixed import rate_of

sys.path.insert(0, str(APPS))
import mix


class Noted:
    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def many(self, jobs: Sequence[tuple[str, int]]) -> None:
        self.calls.append([kind for kind, _ in jobs])


def test_the_mix_has_its_shares_however_it_is_cut() -> None:
    peer = Noted()
    answer = asyncio.run(mix.mixed_backlog(peer, "2010", "300"))
    assert [len(call) for call in peer.calls] == [300] * 6 + [210]
    sent = Counter(kind for call in peer.calls for kind in call)
    assert answer == {"sent": 2010, "effects": sent["effect"]}
    assert Counter(mix.kinds(7, 200)) == {"stamp": 160, "nap": 30, "effect": 10}


def test_the_rate_leaves_out_how_it_begins_and_ends() -> None:
    started = [0.0, *range(1000, 1098), 5000.0]
    assert rate_of([Stamp(0, ms) for ms in started]) == 1000.0
