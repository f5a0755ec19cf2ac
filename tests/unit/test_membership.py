"""Where a worker stands with the others: every change in every state."""

from __future__ import annotations

from itertools import count, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.worker.fleet.membership import MOVES, Change, Membership, State, Step

ANEW = (Step.RESCUE_FORMER, Step.REJOIN)

TABLE = [
    (State.OUT, Change.REGISTERED, State.ALIVE, ()),
    (State.ALIVE, Change.FAILED, State.AWAY, (Step.WARN,)),
    (State.ALIVE, Change.GONE, State.REVOKED, (Step.REVOKE,)),
    (State.AWAY, Change.RENEWED, State.ALIVE, (Step.SAY_BACK, Step.REJOIN)),
    (State.AWAY, Change.GONE, State.REVOKED_AWAY, (Step.REVOKE,)),
    (State.REVOKED, Change.REGISTERED, State.ALIVE, ANEW),
    (State.REVOKED, Change.FAILED, State.REVOKED_AWAY, (Step.WARN,)),
    (
        State.REVOKED_AWAY,
        Change.REGISTERED,
        State.ALIVE,
        (Step.RESCUE_FORMER, Step.SAY_BACK, Step.REJOIN),
    ),
]


@pytest.mark.parametrize(("state", "change", "then", "steps"), TABLE)
def test_what_follows(state: State, change: Change, then: State, steps: tuple[Step, ...]) -> None:
    membership = Membership()
    membership.state = state
    assert membership.on(change) == steps
    assert membership.state is then


def test_every_other_change_changes_nothing() -> None:
    listed = {(state, change) for state, change, _, _ in TABLE}
    assert set(MOVES) == listed
    for state, change in set(product(State, Change)) - listed:
        membership = Membership()
        membership.state, membership.worker_id = state, 1
        assert membership.on(change) == ()
        assert (membership.state, membership.worker_id) == (state, 1)


def test_the_id_goes_with_the_row() -> None:
    membership = Membership()
    assert (membership.worker_id, membership.was_in) == (None, False)
    membership.registered(1)
    assert (membership.worker_id, membership.was_in) == (1, True)
    membership.on(Change.GONE)
    assert (membership.worker_id, membership.former, membership.was_in) == (None, 1, True)
    membership.registered(2)
    assert (membership.worker_id, membership.former) == (2, 1)


# A heartbeat brings an answer, an error, or no row: then a registration follows, or fails.
HEARTBEATS = {
    "renewed": (Change.RENEWED,),
    "failed": (Change.FAILED,),
    "anew": (Change.GONE, Change.REGISTERED, Change.RENEWED),
    "gone": (Change.GONE, Change.FAILED),
}


@given(st.lists(st.sampled_from(sorted(HEARTBEATS))))
def test_whatever_comes_the_worker_says_each_thing_once(heartbeats: list[str]) -> None:
    ids = count(1)
    membership = Membership()
    membership.registered(next(ids))
    failing = False
    for heartbeat in heartbeats:
        listed = membership.worker_id is not None
        if heartbeat == "renewed" and not listed:
            continue  # nobody renews what is not there
        before, steps = membership.worker_id, list[Step]()
        for change in HEARTBEATS[heartbeat]:
            if change is Change.REGISTERED:
                steps += membership.registered(next(ids))
            else:
                steps += membership.on(change)
        failed = heartbeat in ("failed", "gone")
        assert (Step.WARN in steps) == (failed and not failing)
        assert (Step.SAY_BACK in steps) == (failing and not failed)
        assert steps.count(Step.REVOKE) == (listed and heartbeat in ("anew", "gone"))
        assert (Step.RESCUE_FORMER in steps) == (heartbeat == "anew")
        if Step.REVOKE in steps:
            assert membership.former == before
        assert (Step.REJOIN in steps) == (not failed and (failing or heartbeat == "anew"))
        assert (membership.worker_id is None) == (
            membership.state in (State.REVOKED, State.REVOKED_AWAY)
        )
        failing = failed
