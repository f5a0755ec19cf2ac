"""Whatever producers, workers, operators and time do, in any order: see the machine's rules."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.model.machine import Machine
from tests.model.place import Place

from pgqueue.job import MOVES

PROFILE = settings(
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.one_pg
@pytest.mark.parametrize("runs", [100, pytest.param(200, marks=pytest.mark.long)])
def test_everything_that_can_happen(place: Place, runs: int) -> None:
    Machine.place = place
    run_state_machine_as_test(Machine, settings=settings(PROFILE, max_examples=runs))
    moves = {(was, to) for was in MOVES for to in MOVES[was] if "blocked" not in (was, to)}
    # A machine that goes nowhere finds nothing: it has to have been everywhere.
    assert moves <= place.seen.keys(), f"never seen: {moves - place.seen.keys()}"
