"""The completer by itself: what it makes of a database that answers and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from tests.harness.waiting import eventually

from pgqueue.db.faults import Contended, Rejected
from pgqueue.outcome import DONE, RELEASED, Outcome
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.finish.fruitless import Fruitless
from pgqueue.worker.receipt import Entry


class Refusing:
    """A store whose database refuses each write."""

    def __init__(self, why: Exception) -> None:
        self.why = why

    async def finish(self, ids: list[int], *_: object) -> None:
        if ids:
            raise self.why

    async def give_back(self, *_: object) -> list[int]:
        raise self.why


@pytest.mark.parametrize(
    ("why", "outcome"),
    [(Contended("a lock"), DONE), (Contended("a lock"), RELEASED), (Rejected("no"), RELEASED)],
    ids=repr,
)
async def test_a_worker_whose_writes_are_refused_can_write(
    why: Exception, outcome: Outcome
) -> None:
    gave_up: list[BaseException] = []
    fruitless = Fruitless(15.0, renewing_since=lambda: 0.0, give_up=gave_up.append)
    for moment in range(100, 115):
        fruitless.failed(OSError("no descriptor left"), 1, moment)
    store: Any = Refusing(why)
    completer = Completer(
        store, worker_name="w", on_lost=int, on_written=lambda _: None, fruitless=fruitless
    )
    completer.start()
    completer.add(Entry(1, 7, outcome))
    await eventually(lambda: completer._aside)
    fruitless.failed(OSError("no descriptor left"), 1, 200.0)
    assert not gave_up
    assert await completer.stop(0.0) == 1
