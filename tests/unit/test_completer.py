"""The completer by itself: what it makes of a database that answers and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from tests.harness.fakes import Said
from tests.harness.waiting import eventually

from pgqueue.db.faults import Contended, Rejected
from pgqueue.failure import Failure
from pgqueue.outcome import DONE, RELEASED, Dead, Outcome
from pgqueue.worker.events import NotOurs
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.finish.fruitless import Fruitless
from pgqueue.worker.finish.rungs import Rung
from pgqueue.worker.lease import Lease
from pgqueue.worker.receipt import Entry


class Refusing:
    """A store whose database refuses each write."""

    def __init__(self, why: Exception) -> None:
        self.why = why

    async def finish(self, ids: list[int], *_: object) -> None:
        if ids:
            raise self.why

    async def release(self, *_: object) -> list[int]:
        raise self.why


@pytest.mark.parametrize(
    ("why", "outcome"),
    [(Contended("a lock"), DONE), (Contended("a lock"), RELEASED), (Rejected("no"), RELEASED)],
    ids=repr,
)
async def test_a_worker_whose_writes_are_refused_can_write(
    why: Exception, outcome: Outcome
) -> None:
    lease = Lease()
    lease.renewing_since = 0.0
    fruitless = Fruitless(15.0, lease)
    for moment in range(100, 115):
        fruitless.failed(OSError("no descriptor left"), 1, moment)
    store: Any = Refusing(why)
    completer = Completer(store, worker_name="w", events=Said[Any](), fruitless=fruitless)
    completer.start()
    completer.add(Entry(1, 7, outcome))
    await eventually(lambda: completer.delayed)
    assert fruitless.failed(OSError("no descriptor left"), 1, 200.0) is None
    assert await completer.stop(0.0) == 1


class Burying:
    """A store that buries what it is told to."""

    def __init__(self) -> None:
        self.buried: list[int] = []

    async def finish(self, *_: object) -> None: ...

    async def bury(self, ids: list[int], *_: object) -> list[int]:
        self.buried += ids
        return ids

    async def end_damaged(self, _: str, job_id: int, *__: object, whole: bool) -> list[int]:
        self.buried.append(job_id)
        return [job_id]


async def test_rows_set_aside_as_damaged_are_buried_one_by_one() -> None:
    """Two that come back in one batch, beside a third that is whole, keep nobody from writing."""
    burying = Burying()
    store: Any = burying
    completer = Completer(store, worker_name="w", events=Said[Any]())
    dead = Dead("no more attempts", Failure("ValueError", "bad", ""))
    completer.add(Entry(1, 7, dead, rung=Rung.NO_ERRORS))
    completer.add(Entry(2, 7, dead, rung=Rung.NO_ARGUMENTS))
    completer.add(Entry(3, 7, dead))
    completer.start()
    await eventually(lambda: len(burying.buried) == 3)
    assert sorted(burying.buried) == [1, 2, 3]
    assert await completer.stop(1.0) == 0


class Finishing:
    """A store that finishes jobs of one token, and notes what it was asked."""

    def __init__(self, token: int) -> None:
        self.token = token
        self.asked: list[list[tuple[int, int]]] = []

    async def finish(self, ids: list[int], tokens: list[int], _: str) -> list[int] | None:
        receipts = list(zip(ids, tokens, strict=True))
        self.asked.append(receipts)
        good = [job_id for job_id, token in receipts if token == self.token]
        return None if len(good) == len(ids) else good


@pytest.mark.parametrize("good", [5, 7])
async def test_two_receipts_of_one_job_are_asked_about_apart(good: int) -> None:
    """The statement finds one receipt for each job, and tokens have no order."""
    store: Any = Finishing(good)
    events = Said[Any]()
    completer = Completer(store, worker_name="w", events=events)
    for job_id, token in ((3, good), (1, 7), (2, good), (1, 5)):
        completer.done(job_id, token)
    completer.start()
    assert await completer.stop(5.0) == 0
    assert completer.completed == 3
    assert store.asked == [[(1, 5), (2, good), (3, good)], [(1, 7)]]
    assert [event.job_id for event in events if isinstance(event, NotOurs)] == [1]
