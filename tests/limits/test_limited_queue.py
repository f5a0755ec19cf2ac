"""What of a queue with limits begins, is claimed, asked for and released: in simulated time."""

from __future__ import annotations

import math
import random
from typing import Any, cast

import pytest

from pgqueue.flow.queue_limits import Limits
from pgqueue.worker.limits.limited_queue import Ask, LimitedQueue
from pgqueue.worker.limits.tokens import AGAIN, VALID
from pgqueue.worker.receipt import Claimed

SLOTS = 10
NO_TOKENS: dict[str, Any] = {"tokens": None, "first": None, "each": None, "wait": None}


def job(n: int = 0) -> Claimed:
    return cast("Claimed", ({"id": n, "queue": "mail"}, 7))


def limited(jobs: int = 0, **limits: Any) -> LimitedQueue:
    one = LimitedQueue("mail", Limits(**limits), SLOTS)
    one.jobs.extend(job(n) for n in range(jobs))
    return one


def asks(one: LimitedQueue, now: float = 0.0, *, renewed: bool = False) -> Ask:
    ask = one.ask(now, renewed=renewed)
    assert ask is not None
    return ask


def granted(
    one: LimitedQueue, may: int, held: int | None = None, now: float = 0.0
) -> list[Claimed]:
    """Ask, and be answered; return what is released."""
    ask = asks(one, now)
    one.answered(ask, {"may": may, "held": may if held is None else held, **NO_TOKENS}, now)
    return one.surplus()


def begun(one: LimitedQueue, now: float = 0.0) -> int:
    count = 0
    while one.can_begin(now):
        one.begin()
        count += 1
    return count


def test_nothing_begins_without_a_permit() -> None:
    one = limited(5, concurrency=3)
    assert begun(one) == 0
    assert asks(one) == Ask(wanted=5, busy=0, tokens=0, unused=0)


def test_as_many_begin_as_may_and_the_others_are_released() -> None:
    one = limited(5, concurrency=3)
    assert len(granted(one, 3)) == 2
    assert begun(one) == 3
    assert one.short
    assert one.allowance() == 0
    one.running -= 1
    assert one.allowance() == 1
    assert one.ask(0.0) is None, "it has what it needs"


def test_who_gets_no_permit_releases_all_claims_none_and_asks_with_the_heartbeat() -> None:
    one = limited(5, concurrency=3)
    assert len(granted(one, 0)) == 5
    assert one.is_shut
    assert one.allowance() == 0
    assert one.ask(1.0) is None
    ask = asks(one, 2.0, renewed=True)
    assert ask == Ask(wanted=3, busy=0, tokens=0, unused=0), "as many as it could run"
    one.answered(ask, {"may": 2, "held": 2, **NO_TOKENS}, 2.0)
    assert one.allowance() == 2


def test_permits_that_lie_idle_go_back_with_a_heartbeat_but_for_the_most_that_ran() -> None:
    one = limited(5, concurrency=8)
    granted(one, 5)
    begun(one)
    one.running -= 4
    assert asks(one, renewed=True).wanted == 5, "so many ran since the heartbeat before"
    assert asks(one, renewed=True).wanted == 1


def test_permits_that_lie_idle_go_at_once_to_who_wants_them_if_the_queue_is_empty() -> None:
    one = limited(2, concurrency=8)
    granted(one, 2)
    begun(one)
    one.sought = True
    one.running -= 1
    assert not one.give_way(), "the queue may have more"
    one.on_empty()
    assert one.give_way()
    assert asks(one) == Ask(wanted=1, busy=1, tokens=0, unused=0)


def test_above_its_share_it_begins_no_more_and_gives_back_as_jobs_end() -> None:
    one = limited(4, concurrency=4)
    granted(one, 4)
    assert begun(one) == 4
    one.jobs.append(job())
    ask = asks(one, renewed=True)
    assert ask.busy == 4
    one.answered(ask, {"may": 2, "held": 4, **NO_TOKENS}, 0.0)
    assert begun(one) == 0
    one.running -= 1
    ask = asks(one)
    assert ask.busy == 3
    one.answered(ask, {"may": 2, "held": 3, **NO_TOKENS}, 0.0)
    one.running -= 1
    one.answered(asks(one), {"may": 2, "held": 2, **NO_TOKENS}, 0.0)
    assert one.ask(0.0) is None
    one.running -= 1
    assert begun(one) == 1


def test_while_it_asks_no_more_run_than_the_database_was_told() -> None:
    one = limited(6, concurrency=6)
    granted(one, 6)
    assert begun(one) == 6
    one.running -= 4  # two run; the one is empty
    ask = asks(one, renewed=True)
    assert ask.busy == 2
    one.jobs.extend([job(), job()])
    assert begun(one) == 0
    one.answered(ask, {"may": 6, "held": 6, **NO_TOKENS}, 0.0)
    assert begun(one) == 2


def test_after_a_lost_answer_it_runs_what_it_kept_and_asks_again() -> None:
    one = limited(4, concurrency=4)
    granted(one, 4)
    begun(one)
    asks(one, renewed=True)
    one.on_lost_answer()
    one.running -= 1
    one.jobs.append(job())
    assert begun(one) == 1
    assert asks(one).busy == 4


def test_a_worker_that_was_lost_has_nothing() -> None:
    one = limited(4, concurrency=4)
    granted(one, 4)
    one.forget()
    assert begun(one) == 0


@pytest.mark.parametrize(
    ("limit", "running", "waiting", "allowance"),
    [(1, 0, 0, 1), (1, 0, 1, 0), (4, 0, 0, 4), (4, 0, 2, 2), (4, 0, 3, 0), (50, 0, 0, SLOTS)],
)
def test_a_claim_takes_no_more_than_would_begin(
    limit: int, running: int, waiting: int, allowance: int
) -> None:
    one = limited(waiting, concurrency=limit)
    one.running = running
    assert one.allowance() == allowance


def tokens(count: int, first: float, each: float, wait: float = 0.0) -> dict[str, Any]:
    return {
        "may": SLOTS, "held": SLOTS, "tokens": count, "first": first, "each": each, "wait": wait,
    }  # fmt: skip


def test_a_token_is_used_once_and_not_before_its_time() -> None:
    one = limited(3, rate=10.0, burst=1)
    assert begun(one) == 0
    ask = asks(one)
    assert ask.tokens == 3
    one.answered(ask, tokens(3, 0.0, 0.1), 0.0)
    assert [begun(one, now) for now in (0.0, 0.05, 0.1, 0.15, 0.2)] == [1, 0, 1, 0, 1]


def test_a_token_that_is_too_old_is_given_back() -> None:
    one = limited(2, rate=10.0, burst=1)
    one.answered(asks(one), tokens(2, 0.0, 0.1), 0.0)
    late = VALID + 0.05
    assert begun(one, late) == 1
    assert one.tokens.unused == 1
    assert asks(one, late).unused == 1


def test_who_got_too_few_tokens_releases_and_asks_before_it_claims() -> None:
    one = limited(5, rate=10.0, burst=1)
    one.answered(asks(one), tokens(2, 0.0, 0.1, wait=0.5), 0.0)
    assert len(one.surplus()) == 3
    assert begun(one, 0.1) == 2
    assert one.allowance() == 0
    assert one.ask(0.4) is None
    assert one.next_at(0.2) == 0.5
    ask = asks(one, 0.5)
    assert ask.tokens == 3, "as many as come in a quarter of a second"
    one.answered(ask, tokens(3, 0.0, 0.1), 0.5)
    assert one.allowance() == 3


def test_tokens_of_an_empty_queue_are_given_back() -> None:
    one = limited(5, rate=10.0, burst=1)
    one.answered(asks(one), tokens(0, 0.5, 0.1, wait=0.5), 0.0)
    one.surplus()
    one.answered(asks(one, 0.5), tokens(3, 0.0, 0.1), 0.5)
    one.on_empty()
    ask = asks(one, 0.6, renewed=True)
    assert (ask.tokens, ask.unused) == (0, 3)
    one.answered(ask, tokens(0, 0.0, 0.1), 0.6)
    assert one.ask(9.0, renewed=True) is None


def test_who_gets_no_token_waits_for_a_while_at_the_least() -> None:
    one = limited(1, rate=1000.0, burst=1)
    one.answered(asks(one), tokens(0, 0.0, 0.001, wait=0.0), 0.0)
    assert one.next_at(0.0) == AGAIN


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


@pytest.mark.past_bug(78)
@pytest.mark.parametrize(
    ("rate", "burst", "workers"), [(100.0, 1, 1), (100.0, 10, 3), (7.0, 1, 5), (900.0, 90, 2)]
)
def test_workers_begin_what_the_rate_allows_and_nothing_above(
    rate: float, burst: int, workers: int
) -> None:
    rng = random.Random(17)
    server = Server(rate, burst)
    queues = [limited(rate=rate, burst=burst) for _ in range(workers)]
    times: list[float] = []
    steps, step = 20_000, 0.0005
    for n in range(steps):
        now = n * step
        one = rng.choice(queues)
        one.jobs.extend(job() for _ in range(one.allowance()))
        if (ask := one.ask(now)) is not None:
            one.answered(ask, server.take(ask, now), now)
            one.surplus()
        for other in queues:
            times += [now] * begun(other, now)
            other.running = 0
    allowed = rate * steps * step + burst
    assert 0.97 * allowed - 1 <= len(times) <= allowed
    late = VALID + step
    for size in (burst + 1, burst + 10, burst + 100):
        for first in range(len(times) - size):
            assert size <= rate * (times[first + size] - times[first] + late) + burst + 1
