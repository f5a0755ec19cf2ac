"""When a run of the suite passes: the decisions, without a pytest."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.harness.suite.pytests import end_of
from tests.harness.suite.report import Run, as_text, last_line
from tests.harness.suite.results import Result, read
from tests.harness.suite.selection import wanted
from tests.harness.suite.total import total
from tests.harness.suite.verdict import Verdict, anywhere, judge, remember

GOOD, BAD, SKIPPED = Result("passed"), Result("failed", log="why"), Result("skipped")


def test_all_passed() -> None:
    verdict = judge({"a": GOOD, "b": SKIPPED}, [])
    assert verdict == Verdict(passed=1, skipped=1)
    assert last_line([verdict.counts]) == "1 passed, 0 failed, 1 skipped"


def test_what_passes_twice_is_unsteady_and_passes() -> None:
    verdict = judge({"a": GOOD, "b": BAD}, [{"b": GOOD}, {"b": GOOD}])
    assert verdict.unsteady == ("b",)
    assert verdict.counts == (2, 0, 0)


@pytest.mark.parametrize(
    "tries",
    [
        [],
        [{"b": GOOD}, {"b": BAD}],
        [{"b": BAD}, {"b": GOOD}],
        [{"b": GOOD}, {}],
        [{"b": GOOD}, {"b": SKIPPED}],
    ],
)
def test_what_does_not_pass_twice_has_failed(tries: list[dict[str, Result]]) -> None:
    verdict = judge({"a": GOOD, "b": BAD}, tries)
    assert verdict.failed == ("b",)
    assert verdict.counts == (1, 1, 0)


def test_three_unsteady_tests_fail() -> None:
    first = dict.fromkeys("abc", BAD)
    again = dict.fromkeys("abc", GOOD)
    assert judge(first, [again, again]).counts == (0, 3, 0)
    assert judge({"a": BAD, "b": BAD, "c": GOOD}, [again, again]).counts == (3, 0, 0)


def test_one_that_was_unsteady_in_its_last_run_fails() -> None:
    verdict = judge({"a": BAD, "b": BAD}, [{"a": GOOD, "b": GOOD}] * 2, record={"a", "z"})
    assert verdict.again == ("a",)
    assert verdict.counts == (1, 1, 0)


def test_what_is_remembered() -> None:
    first = {"a": BAD, "b": GOOD, "c": BAD}
    verdict = judge(first, [{"a": GOOD, "c": BAD}] * 2)
    assert remember({"b", "z"}, first, verdict) == {"a", "z"}, "z was not run, b was steady"


def test_a_test_is_the_same_one_on_another_postgresql() -> None:
    first, again = {"t[pg18-a]": BAD}, [{"t[pg18-a]": GOOD}] * 2
    assert remember({"t[pg-b]"}, first, judge(first, again)) == {"t[pg-a]", "t[pg-b]"}
    assert judge({"t[pg15-a]": BAD}, [{"t[pg15-a]": GOOD}] * 2, record={"t[pg-a]"}).again
    assert anywhere("tests/x.py::y[z]") == "tests/x.py::y[z]"


def test_what_breaks_fails() -> None:
    assert judge({"a": GOOD}, [], broken=["pytest ended with exit code 3"]).counts == (1, 1, 0)


def notes(*said: dict[str, Any]) -> list[str]:
    return [json.dumps(line) for line in said]


def phase(test: str, outcome: str, log: str = "", *, phase: str = "teardown") -> dict[str, Any]:
    return {"test": test, "outcome": outcome, "seconds": 1.0, "log": log, "phase": phase}


def test_the_phases_of_a_test_are_one_result() -> None:
    lines = notes(
        phase("a", "passed"),
        phase("b", "passed", phase="setup"),
        phase("b", "failed", "the fixture"),
        phase("c", "skipped"),
        phase("c", "passed"),
    )
    assert read(lines, 1).results == {
        "a": Result("passed", 1.0),
        "b": Result("failed", 2.0, "the fixture"),
        "c": Result("skipped", 2.0),
    }


def test_a_test_that_did_not_come_to_its_end_is_missing() -> None:
    lines = notes(
        {"collected": ["a", "b", "c", "d"]},
        phase("a", "passed"),
        phase("b", "passed", phase="setup"),
        phase("c", "failed", "crashed", phase="???"),
    )
    found = read(lines, 0)
    assert set(found.results) == {"a", "c"}
    assert found.missing == ("b", "d")
    both = found.and_then(read(notes(phase("b", "passed")), 0))
    assert (set(both.results), both.missing) == ({"a", "b", "c"}, ("d",))


class Silent:
    """A pytest that notes something ``times`` times, and then neither notes anything nor ends."""

    def __init__(self, notes: Path, times: int) -> None:
        self.notes, self.times, self.killed = notes, times, False

    def wait(self, seconds: float | None = None) -> int:
        if self.killed:
            return -9
        if self.times:
            self.times -= 1
            with self.notes.open("a") as file:
                file.write("{}\n")
        raise subprocess.TimeoutExpired("pytest", seconds or 0.0)

    def kill(self) -> None:
        assert not self.times
        self.killed = True


def test_a_pytest_that_notes_nothing_any_more_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.touch()
    process = Silent(file, times=3)
    assert end_of(process, file) is None
    assert process.killed


@pytest.mark.parametrize("code", [0, 5])
def test_no_test_at_all_is_no_failure(code: int) -> None:
    assert read([], code).broken == ()


@pytest.mark.parametrize("code", [1, 2, 3, 4, -9])
def test_an_end_that_no_test_explains_is_broken(code: int) -> None:
    assert read(notes(phase("a", "passed")), code).broken == (
        f"pytest ended with exit code {code}",
    )


def test_a_collection_that_failed_is_broken() -> None:
    assert read(notes({"broken": "t.py cannot be collected"}), 2).broken == (
        "t.py cannot be collected",
    )


def test_which_tests_are_run() -> None:
    assert wanted("a", {"alone"})
    assert wanted("a", {"alone"}, part="alone")
    assert not wanted("a", {"alone"}, part="together")
    assert wanted("a", set(), part="together")
    assert not wanted("a", set(), part="alone")
    assert not wanted("a", {"long"})
    assert wanted("a", {"long"}, long=True)
    assert wanted("a", {"long", "alone"}, part="together", only={"a"})
    assert not wanted("a", set(), only={"b"})


def test_unsteady_tests_are_counted_over_all_runs() -> None:
    two, one = Verdict(8, 0, unsteady=("a", "b")), Verdict(9, 0, unsteady=("c",))
    assert total([Run("3.11", two), Run("3.12", one)]).verdict.broken
    assert not total([Run("3.11", two)]).verdict.broken
    besides = total([], passed=["make lint"], failed=["make types"], seconds=[("static", 3.0)])
    assert besides.verdict.counts == (1, 1, 0)


def test_a_run_is_written_and_read_and_shown(tmp_path: Path) -> None:
    verdict = Verdict(8, 2, failed=("t.py::f",), unsteady=("t.py::u",), broken=("crash",))
    run = Run("3.11", verdict, {"together": 61.4}, [(12.3, "t.py::slow")], {"t.py::u": "u.log"})
    run.write(tmp_path / "run.json")
    assert Run.load(tmp_path / "run.json") == run
    text = as_text([run])
    for word in ("61  3.11: together", "12.3  t.py::slow", "t.py::u  (u.log)", "t.py::f", "crash"):
        assert word in text
