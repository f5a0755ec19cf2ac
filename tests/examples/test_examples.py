"""Each example passes its own tests, and works by the commands of its README."""

from __future__ import annotations

import pytest

from tests.examples.conftest import Example
from tests.examples.readme import EXAMPLES, commands

pytestmark = pytest.mark.one_pg


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", [name], indirect=True)


@pytest.mark.parametrize("example", [home.name for home in EXAMPLES], indirect=True)
def test_its_own_tests_pass(example: Example) -> None:
    for command in commands(example.home, "Test"):
        print(example.run(command))


@of("files")
def test_a_pipeline_of_files(example: Example) -> None:
    scan, work = commands(example.home, "Run")[:2]
    assert example.run(scan) == "3 new files\n"
    example.run(work)
    (dead,) = [command for command in commands(example.home, "Run") if " dead " in command]
    assert "poison.csv, line 2" in example.run(f"COLUMNS=200 {dead}")
    assert example.run(scan) == "0 new files\n"
    loaded = "select count(*), sum(sales) from file where loaded_at is not null"
    assert example.query(loaded) == [(2, 5)]
