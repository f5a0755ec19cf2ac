"""Each defect that is put into the product on purpose is found, and nothing without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.arenas.ground import Ground
from chaos.mutants.__main__ import hunt
from chaos.mutants.catalogue import MUTANTS, setup_of
from chaos.plan import Step
from chaos.torture import torture
from tests.harness.servers import Server

pytestmark = [pytest.mark.one_pg, pytest.mark.alone]

# A job that is lost, and one that runs twice. What each invariant of the checker finds is shown by
# the stories of test_checker; what its workload meets, by all the mutants.
SAMPLE = {"claim-steals", "history-lost"}
SHOWN = [name if name in SAMPLE else pytest.param(name, marks=pytest.mark.long) for name in MUTANTS]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("name", SHOWN)
def test_a_defect_is_found(name: str, pg: Server, home: Path) -> None:
    mutant = MUTANTS[name]
    verdict = hunt(pg, mutant, home)
    assert mutant.by & verdict.violations.keys(), f"{mutant.about} Nobody noticed.\n{verdict.table}"


def test_the_sample_is_of_mutants() -> None:
    assert MUTANTS.keys() >= SAMPLE


@pytest.mark.long
def test_without_a_defect_nothing_is_found(pg: Server, home: Path) -> None:
    plan = [
        Step(0.5, ("kill-child",)),
        Step(1.5, ("reset",)),
        Step(3.0, ("stop",)),
        Step(4.0, ("hold-rows", "cut-after-enqueue")),
    ]
    verdict = torture(Ground(pg), setup_of(None), plan, home)
    assert verdict.ok, verdict.table
