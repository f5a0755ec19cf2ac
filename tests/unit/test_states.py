"""The life of a worker: every event in every state, in every order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.worker.states import MOVES, Event, State, Step, WorkerState

LIVE = (State.RUNNING, State.RETIRING, State.DONE)
ENDING = {State.STOPPING, State.CANCELLING}


def worker_in(state: State) -> WorkerState:
    worker = WorkerState()
    worker.state = state
    return worker


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(Event))
def test_an_event_that_is_not_in_the_table_changes_nothing(state: State, event: Event) -> None:
    worker = worker_in(state)
    steps = worker.on(event)
    assert (worker.state, tuple(steps)) == MOVES.get((state, event), (state, ()))


@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize(
    ("event", "after"), [(Event.STOP, State.STOPPING), (Event.FORCE, State.CANCELLING)]
)
def test_a_worker_that_runs_can_be_stopped(state: State, event: Event, after: State) -> None:
    worker = worker_in(state)
    assert list(worker.on(event)) == [Step.END]
    assert worker.state is after
    assert worker.stop_wanted.is_set()
    assert worker.forced.is_set() == (event is Event.FORCE)


def test_it_stops_once_however_often_it_is_asked() -> None:
    worker = worker_in(State.RUNNING)
    steps = [step for event in (Event.STOP, Event.STOP, Event.FORCE) for step in worker.on(event)]
    assert steps == [Step.END]
    assert worker.state is State.CANCELLING


def test_a_start_that_ends_too_late_to_be_cancelled_is_to_be_stopped() -> None:
    worker = worker_in(State.STARTING)
    assert list(worker.on(Event.STOP)) == [Step.CANCEL_START]
    assert not worker.on(Event.STARTED)
    assert worker.is_running
    assert worker.stop_wanted.is_set()


def test_a_start_that_was_to_end_at_once_has_no_grace() -> None:
    worker = worker_in(State.STARTING)
    for event in (Event.STOP, Event.FORCE, Event.STARTED, Event.STOP):
        worker.on(event)
    assert worker.state is State.STOPPING
    assert worker.forced.is_set()


def test_each_start_has_signals_of_its_own() -> None:
    worker = worker_in(State.CANCELLING)
    worker.on(Event.FORCE)
    wanted, forced = worker.stop_wanted, worker.forced
    worker.on(Event.ENDED)
    assert (worker.stop_wanted, worker.forced) != (wanted, forced)
    assert not worker.stop_wanted.is_set()
    assert not worker.forced.is_set()
    assert worker.may_start


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_whatever_happens(events: list[Event]) -> None:
    worker, ends = WorkerState(), 0
    for event in events:
        before = worker.state
        steps = worker.on(event)
        ends += Step.END in steps
        assert ends <= 1, "the machines are stopped once for each start"
        assert (Step.END in steps) == (before in LIVE and worker.state in ENDING)
        if event is Event.STARTED and before in (State.STARTING, State.ABANDONING):
            assert worker.is_running
        if worker.state is State.OUT:
            ends = 0
        assert not (worker.may_start and worker.is_running)
        assert worker.state is not State.CANCELLING or worker.forced.is_set()
        assert worker.stop_wanted.is_set() or not worker.forced.is_set()
        quiet = {State.OUT, State.STARTING, State.RUNNING, State.RETIRING}
        assert worker.stop_wanted.is_set() == (worker.state not in quiet)


def test_every_state_is_reached_and_left() -> None:
    reached, new = {State.OUT}, {State.OUT}
    while new:
        new = {after for (state, _), (after, _) in MOVES.items() if state in new} - reached
        reached |= new
    assert reached == set(State)
    assert {state for state, _ in MOVES} == set(State)
