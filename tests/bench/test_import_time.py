"""The measurement of imports: that it measures, not how long they take."""

from __future__ import annotations

import pytest
from benchmarks.import_time import PROGRAMS, measure


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_each_program_runs(program: str) -> None:
    spent, cpu = measure(program)
    assert spent > 0
    assert cpu > 0


def test_a_program_that_fails_is_named() -> None:
    with pytest.raises(SystemExit, match="exit code 1: raise ValueError"):
        measure("raise ValueError")
