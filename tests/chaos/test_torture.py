"""The torture run, small: one with faults of a fixed seed, one without any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.arenas.ground import Ground
from chaos.campaign import PLAIN, TOURED, seconds_of
from chaos.kinds import STEADY
from chaos.plan import Step, draw
from chaos.setup import Setup
from chaos.torture import CATALOGUE, SERVER_SETTINGS, torture
from tests.harness.servers import Server, chosen, own_server

SEED = 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test's own: it is going to be crashed."""
    with own_server(chosen()[-1] or 18, settings=SERVER_SETTINGS) as server:
        yield server


@pytest.mark.alone
@pytest.mark.parametrize("seconds", [15.0, pytest.param(50.0, marks=pytest.mark.long)])
def test_some_seconds_of_faults(server: Server, home: Path, seconds: float) -> None:
    setup = Setup(seconds=seconds, seed=SEED, drain=90.0)
    plan = draw(SEED, setup.seconds, list(CATALOGUE))
    verdict = torture(Ground(server), setup, plan, home)
    print(verdict.table)
    assert verdict.ok, verdict.table
    assert verdict.figures["faults"] > 0
    assert verdict.figures["ok"] > 0


@pytest.mark.alone
@pytest.mark.parametrize("seconds", [6.0, pytest.param(12.0, marks=pytest.mark.long)])
def test_a_quiet_run(server: Server, home: Path, seconds: float) -> None:
    """No fault, no excuse: nothing runs twice, nothing ends a process, and order is kept."""
    setup = Setup(seconds=seconds, seed=SEED, rare=STEADY, ordered=True, drain=60.0)
    plan = [Step(seconds / 4), Step(seconds / 2)]
    verdict = torture(Ground(server), setup, plan, home, quiet=True)
    assert verdict.ok, verdict.table
    assert verdict.figures["needless_duplicates"] == verdict.figures["duplicated"] == 0
    assert verdict.figures["ok"] > 0


def test_one_seed_gives_one_plan() -> None:
    assert draw(7, 600.0, list(CATALOGUE)) == draw(7, 600.0, list(CATALOGUE))
    assert draw(7, 600.0, list(CATALOGUE)) != draw(8, 600.0, list(CATALOGUE))


def test_a_plan_has_as_many_faults_as_it_should_and_rests() -> None:
    plan = draw(7, 1800.0, list(CATALOGUE))
    assert sum(len(step.faults) for step in plan) > 600
    assert sum(not step.faults for step in plan) > 10
    assert {name for step in plan for name in step.faults} == set(CATALOGUE)


def test_the_time_of_the_whole_is_shared_out() -> None:
    """Each arena gets its part, and the plain one most of it."""
    shared = seconds_of(1800.0, ("torture", "arenas"))
    assert list(shared) == [PLAIN, *TOURED]
    assert sum(shared.values()) == 1800.0
    assert shared[PLAIN] > 900.0
    assert seconds_of(60.0, ("torture",)) == {PLAIN: 60.0}
