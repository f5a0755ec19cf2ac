"""A claim is sent: what is noted of it, whether it brings jobs, finds others, or fails."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.harness.fakes import Said

from pgqueue.config import WorkerSettings
from pgqueue.db.faults import Contended
from pgqueue.errors import OutcomeUnknown, Unreachable
from pgqueue.worker.claim.plan import Kind, Plan, Request
from pgqueue.worker.claim.queue_state import Heat
from pgqueue.worker.claim.sender import Sender
from pgqueue.worker.events import AnswerLost
from pgqueue.worker.seat import Seat

ROW = {"id": 1, "queue": "a", "priority": 5, "position": 7, "flow": None}


class Claims:
    """The account, and a store that answers what it is told to."""

    def __init__(self, answer: tuple[list[Any], list[str]] | Exception) -> None:
        self.answer = answer
        self.link = SimpleNamespace(cut=None)
        self.turn = asyncio.Lock()
        self.asked: list[dict[str, Any]] = []
        self.account: list[str] = []

    async def claim(self, *_: object, **how: Any) -> tuple[list[Any], list[str]]:
        self.asked.append(how)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def claim_holder(self, queue: str) -> str:
        return "a transaction"

    def begin(self, token: int) -> None:
        self.account.append("begin")

    def end(self, token: int, *, took: bool) -> None:
        self.account.append("took" if took else "end")

    def lose(self, *_: object) -> None:
        self.account.append("lose")


class Intake:
    """Takes all that comes."""

    closed = False

    def __init__(self) -> None:
        self.claimed = 0

    def add(self, records: list[Any], token: int) -> None:
        self.claimed += len(records)

    def one_by_one(self, now: float) -> None: ...


def sender(claims: Claims, worker: int | None = 1) -> tuple[Sender, Plan, Intake, list[AnswerLost]]:
    plan, intake, said = Plan(["a"]), Intake(), Said[AnswerLost]()
    one = Sender(
        cast("Any", claims),
        tasks=["t"],
        settings=WorkerSettings(),
        plan=plan,
        intake=cast("Any", intake),
        seating=cast("Any", SimpleNamespace(seat=Seat(0, 1))),
        completer=cast("Any", None),
        holdings=cast("Any", claims),
        membership=cast("Any", SimpleNamespace(worker_id=worker)),
        events=said,
    )
    return one, plan, intake, said


ASKED = Request(["a"], [0] * 10, 5)


async def test_what_it_brings_is_handed_on_and_counted() -> None:
    claims = Claims(([ROW], []))
    one, plan, intake, said = sender(claims)
    answer = await one.send(ASKED)
    assert (answer.counts["a"], answer.quota, list(answer.busy), answer.sent) == (1, 5, [], True)
    assert plan.cursors.now(["a"])[5] == 7
    assert (intake.claimed, claims.account, said) == (1, ["begin", "took"], [])


async def test_the_first_jobs_put_off_the_look_back() -> None:
    """That claim walked over all that lies dead in the queue: a look would do so again."""
    one, plan, _, _ = sender(Claims(([ROW], [])))
    plan.poll_at = float("inf")
    plan.looked(float("inf"), 0.0)  # no look back is due
    plan.states["a"].hot = Heat.ONCE
    await one.send(ASKED)
    assert plan.kind(plan.states.values(), 10.0**12) is Kind.LOOK, "one is due from now on"


async def test_nothing_is_sent_without_an_id() -> None:
    claims = Claims(([ROW], []))
    one, _, intake, _ = sender(claims, worker=None)
    answer = await one.send(ASKED)
    assert not answer.sent
    assert (claims.asked, claims.account, intake.claimed) == ([], [], 0)


@pytest.mark.parametrize(
    ("error", "account", "said", "long"),
    [
        (Unreachable("never sent"), ["begin", "end"], [], False),
        (OutcomeUnknown("no answer"), ["begin", "lose", "end"], [AnswerLost()], False),
        (Contended("too long"), ["begin", "lose", "end"], [AnswerLost()], True),
    ],
    ids=repr,
)
async def test_what_it_may_have_taken_is_looked_for_at_once(
    error: Exception, account: list[str], said: list[Said], long: bool
) -> None:
    claims = Claims(error)
    one, plan, _, told = sender(claims)
    with pytest.raises(type(error)):
        await one.send(ASKED)
    assert (claims.account, told, plan.long) == (account, said, long)


async def test_a_queue_whose_lock_was_passed_by_is_not_busy() -> None:
    claims = Claims(([], ["a"]))
    one, plan, _, _ = sender(claims)
    assert list((await one.send(ASKED)).busy) == ["a"]
    plan.states["a"].contention.stuck = True
    assert list((await one.send(ASKED)).busy) == []
    assert [how["bypass"] for how in claims.asked] == [False, True]
