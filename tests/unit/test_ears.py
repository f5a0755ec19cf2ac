"""When a worker sends a word to hear itself, and when it listens anew: decided without a server."""

from __future__ import annotations

from itertools import pairwise

from pgqueue.worker.claim.ears import Ears

MINUTE = 60.0


def ask(ears: Ears, now: float, *, listens: bool = True, sent: bool = True) -> bool:
    """What a worker does at each check; True if it listens anew."""
    word = ears.wants_word(now)
    return ears.judge(listens=listens, spoken=sent if word else None, now=now)


def test_nothing_is_sent_while_anything_is_heard() -> None:
    ears = Ears(0.0)
    for n in range(100):
        now = n * 50.0
        assert not ears.wants_word(now)
        ears.heard(now)
    assert ears.wants_word(now + 1.5 * MINUTE)


def test_the_moments_of_many_workers_are_spread() -> None:
    silent = [Ears(0.0) for _ in range(100)]
    assert not any(ears.wants_word(MINUTE - 1) for ears in silent)
    early = sum(ears.wants_word(MINUTE * 1.25) for ears in silent)
    assert 10 < early < 90
    assert all(not ears.deaf for ears in silent)


def test_two_words_that_are_not_heard_are_enough() -> None:
    ears = Ears(0.0)
    assert [ask(ears, now) for now in (100.0, 105.0, 110.0)] == [False, False, True]
    assert ears.deaf
    ears.heard(111.0)
    assert not ears.deaf


def test_a_word_that_is_heard_is_forgotten() -> None:
    ears = Ears(0.0)
    for now in (100.0, 200.0, 300.0, 400.0, 500.0):
        assert ears.wants_word(now)
        ears.heard(now)  # before the answer of the statement that sent it
        assert not ears.judge(listens=True, spoken=True, now=now)
    assert not ears.deaf


def test_a_word_that_could_not_be_sent_is_not_missed() -> None:
    ears = Ears(0.0)
    assert not any(ask(ears, now, sent=False) for now in range(100, 200, 5))


def test_who_does_not_listen_is_deaf_at_once_and_tries_ever_less_often() -> None:
    ears = Ears(0.0)
    tries = [now for now in range(1000) if ask(ears, float(now), listens=False)]
    assert tries[0] == 0
    assert 10 < len(tries) < 40
    assert max(b - a for a, b in pairwise(tries)) <= MINUTE + 1
    assert ears.deaf
