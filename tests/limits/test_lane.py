"""What a lane begins, claims, asks and releases: without a server, in time that is handed in."""

from __future__ import annotations

import math
import random
from typing import Any, cast

import pytest

from pgqueue.flow.queue_limits import Limits
from pgqueue.worker.limits.lane import Ask, Lane
from pgqueue.worker.limits.tokens import AGAIN, VALID
from pgqueue.worker.receipt import Claimed

SLOTS = 10
NO_TOKENS: dict[str, Any] = {"tokens": None, "first": None, "each": None, "wait": None}


def job(n: int = 0) -> Claimed:
    return cast("Claimed", ({"id": n, "queue": "mail"}, 7))


def lane_of(jobs: int = 0, **limits: Any) -> Lane:
    lane = Lane("mail", Limits(**limits), SLOTS)
    lane.jobs.extend(job(n) for n in range(jobs))
    return lane


def asks(lane: Lane, now: float = 0.0, *, pulse: bool = False) -> Ask:
    ask = lane.ask(now, pulse=pulse)
    assert ask is not None
    return ask


def granted(lane: Lane, may: int, held: int | None = None, now: float = 0.0) -> list[Claimed]:
    """Ask, and be answered; return what is released."""
    ask = asks(lane, now)
    lane.answered(ask, {"may": may, "held": may if held is None else held, **NO_TOKENS}, now)
    return lane.surplus()


def begun(lane: Lane, now: float = 0.0) -> int:
    count = 0
    while lane.can_begin(now):
        lane.begin()
        count += 1
    return count


def test_nothing_begins_without_a_permit() -> None:
    lane = lane_of(5, concurrency=3)
    assert begun(lane) == 0
    assert asks(lane) == Ask(wanted=5, busy=0, tokens=0, unused=0)


def test_as_many_begin_as_may_and_the_others_are_released() -> None:
    lane = lane_of(5, concurrency=3)
    assert len(granted(lane, 3)) == 2
    assert begun(lane) == 3
    assert lane.short
    assert lane.allowance() == 0
    lane.running -= 1
    assert lane.allowance() == 1
    assert lane.ask(0.0) is None, "it has what it needs"


def test_who_gets_no_permit_releases_all_claims_none_and_asks_with_the_heartbeat() -> None:
    lane = lane_of(5, concurrency=3)
    assert len(granted(lane, 0)) == 5
    assert lane.is_shut
    assert lane.allowance() == 0
    assert lane.ask(1.0) is None
    ask = asks(lane, 2.0, pulse=True)
    assert ask == Ask(wanted=3, busy=0, tokens=0, unused=0), "as many as it could run"
    lane.answered(ask, {"may": 2, "held": 2, **NO_TOKENS}, 2.0)
    assert lane.allowance() == 2


def test_permits_that_lie_idle_go_back_with_a_heartbeat_but_for_the_most_that_ran() -> None:
    lane = lane_of(5, concurrency=8)
    granted(lane, 5)
    begun(lane)
    lane.running -= 4
    assert asks(lane, pulse=True).wanted == 5, "so many ran since the heartbeat before"
    assert asks(lane, pulse=True).wanted == 1


def test_permits_that_lie_idle_go_at_once_to_who_wants_them_if_the_queue_is_empty() -> None:
    lane = lane_of(2, concurrency=8)
    granted(lane, 2)
    begun(lane)
    lane.sought = True
    lane.running -= 1
    assert not lane.give_way(), "the queue may have more"
    lane.on_empty()
    assert lane.give_way()
    assert asks(lane) == Ask(wanted=1, busy=1, tokens=0, unused=0)


def test_above_its_share_it_begins_no_more_and_gives_back_as_jobs_end() -> None:
    lane = lane_of(4, concurrency=4)
    granted(lane, 4)
    assert begun(lane) == 4
    lane.jobs.append(job())
    ask = asks(lane, pulse=True)
    assert ask.busy == 4
    lane.answered(ask, {"may": 2, "held": 4, **NO_TOKENS}, 0.0)
    assert begun(lane) == 0
    lane.running -= 1
    ask = asks(lane)
    assert ask.busy == 3
    lane.answered(ask, {"may": 2, "held": 3, **NO_TOKENS}, 0.0)
    lane.running -= 1
    lane.answered(asks(lane), {"may": 2, "held": 2, **NO_TOKENS}, 0.0)
    assert lane.ask(0.0) is None
    lane.running -= 1
    assert begun(lane) == 1


def test_while_it_asks_no_more_run_than_the_database_was_told() -> None:
    lane = lane_of(6, concurrency=6)
    granted(lane, 6)
    assert begun(lane) == 6
    lane.running -= 4  # two run; the lane is empty
    ask = asks(lane, pulse=True)
    assert ask.busy == 2
    lane.jobs.extend([job(), job()])
    assert begun(lane) == 0
    lane.answered(ask, {"may": 6, "held": 6, **NO_TOKENS}, 0.0)
    assert begun(lane) == 2


def test_after_a_lost_answer_it_runs_what_it_kept_and_asks_again() -> None:
    lane = lane_of(4, concurrency=4)
    granted(lane, 4)
    begun(lane)
    asks(lane, pulse=True)
    lane.on_lost_answer()
    lane.running -= 1
    lane.jobs.append(job())
    assert begun(lane) == 1
    assert asks(lane).busy == 4


def test_a_worker_that_was_lost_has_nothing() -> None:
    lane = lane_of(4, concurrency=4)
    granted(lane, 4)
    lane.forget()
    assert begun(lane) == 0


@pytest.mark.parametrize(
    ("limit", "running", "waiting", "allowance"),
    [(1, 0, 0, 1), (1, 0, 1, 0), (4, 0, 0, 4), (4, 0, 2, 2), (4, 0, 3, 0), (50, 0, 0, SLOTS)],
)
def test_a_claim_takes_no_more_than_would_begin(
    limit: int, running: int, waiting: int, allowance: int
) -> None:
    lane = lane_of(waiting, concurrency=limit)
    lane.running = running
    assert lane.allowance() == allowance


def tokens(count: int, first: float, each: float, wait: float = 0.0) -> dict[str, Any]:
    return {
        "may": SLOTS, "held": SLOTS, "tokens": count, "first": first, "each": each, "wait": wait,
    }  # fmt: skip


def test_a_token_is_used_once_and_not_before_its_time() -> None:
    lane = lane_of(3, rate=10.0, burst=1)
    assert begun(lane) == 0
    ask = asks(lane)
    assert ask.tokens == 3
    lane.answered(ask, tokens(3, 0.0, 0.1), 0.0)
    assert [begun(lane, now) for now in (0.0, 0.05, 0.1, 0.15, 0.2)] == [1, 0, 1, 0, 1]


def test_a_token_that_is_too_old_is_given_back() -> None:
    lane = lane_of(2, rate=10.0, burst=1)
    lane.answered(asks(lane), tokens(2, 0.0, 0.1), 0.0)
    late = VALID + 0.05
    assert begun(lane, late) == 1
    assert lane.tokens.unused == 1
    assert asks(lane, late).unused == 1


def test_who_got_too_few_tokens_releases_and_asks_before_it_claims() -> None:
    lane = lane_of(5, rate=10.0, burst=1)
    lane.answered(asks(lane), tokens(2, 0.0, 0.1, wait=0.5), 0.0)
    assert len(lane.surplus()) == 3
    assert begun(lane, 0.1) == 2
    assert lane.allowance() == 0
    assert lane.ask(0.4) is None
    assert lane.next_at(0.2) == 0.5
    ask = asks(lane, 0.5)
    assert ask.tokens == 3, "as many as come in a quarter of a second"
    lane.answered(ask, tokens(3, 0.0, 0.1), 0.5)
    assert lane.allowance() == 3


def test_tokens_of_an_empty_queue_are_given_back() -> None:
    lane = lane_of(5, rate=10.0, burst=1)
    lane.answered(asks(lane), tokens(0, 0.5, 0.1, wait=0.5), 0.0)
    lane.surplus()
    lane.answered(asks(lane, 0.5), tokens(3, 0.0, 0.1), 0.5)
    lane.on_empty()
    ask = asks(lane, 0.6, pulse=True)
    assert (ask.tokens, ask.unused) == (0, 3)
    lane.answered(ask, tokens(0, 0.0, 0.1), 0.6)
    assert lane.ask(9.0, pulse=True) is None


def test_who_gets_no_token_waits_for_a_while_at_the_least() -> None:
    lane = lane_of(1, rate=1000.0, burst=1)
    lane.answered(asks(lane), tokens(0, 0.0, 0.001, wait=0.0), 0.0)
    assert lane.next_at(0.0) == AGAIN


class Server:
    """take_tokens() in Python, with a clock that is handed in."""

    def __init__(self, rate: float, burst: int) -> None:
        self.each, self.burst, self.tat = 1 / rate, burst, -math.inf

    def take(self, ask: Ask, now: float) -> dict[str, Any]:
        full_in = max(0.0, max(0.0, self.tat - now) - ask.unused * self.each)
        full_in = min(full_in, 0.25 + self.burst * self.each)
        first = full_in - (self.burst - 1) * self.each
        count = max(0, min(ask.tokens, math.floor((0.25 - first) / self.each + 1e-9) + 1))
        self.tat = now + full_in + count * self.each
        return tokens(count, first, self.each, max(0.0, first + count * self.each - 0.25))


@pytest.mark.parametrize(
    ("rate", "burst", "workers"), [(100.0, 1, 1), (100.0, 10, 3), (7.0, 1, 5), (900.0, 90, 2)]
)
def test_workers_begin_what_the_rate_allows_and_nothing_above(
    rate: float, burst: int, workers: int
) -> None:
    rng = random.Random(17)
    server = Server(rate, burst)
    lanes = [lane_of(rate=rate, burst=burst) for _ in range(workers)]
    times: list[float] = []
    steps, step = 20_000, 0.0005
    for n in range(steps):
        now = n * step
        lane = rng.choice(lanes)
        lane.jobs.extend(job() for _ in range(lane.allowance()))
        if (ask := lane.ask(now)) is not None:
            lane.answered(ask, server.take(ask, now), now)
            lane.surplus()
        for other in lanes:
            times += [now] * begun(other, now)
            other.running = 0
    allowed = rate * steps * step + burst
    assert 0.97 * allowed - 1 <= len(times) <= allowed
    late = VALID + step
    for size in (burst + 1, burst + 10, burst + 100):
        for first in range(len(times) - size):
            assert size <= rate * (times[first + size] - times[first] + late) + burst + 1
