"""Tables of commands on terminals of any width."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime

import pytest

from pgqueue.admin.info import AttemptError, JobInfo, JobPage
from pgqueue.cli.output import print_table
from pgqueue.cli.show import how_to_go_on, print_jobs
from pgqueue.job import JobState

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(monkeypatch: pytest.MonkeyPatch, width: int) -> Screen:
    """A terminal of that width as stdout."""
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    for name, value in (("NO_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", str(width))):
        monkeypatch.setenv(name, value)
    return screen


def job(state: JobState, reason: str | None = None, *errors: AttemptError) -> JobInfo:
    return JobInfo(
        id=1_234_567, state=state, queue="default", task="resize", args={}, priority=5,
        run_at=NOON, enqueued_at=NOON, claimed_at=NOON, finished_at=NOON, attempt=2,
        max_attempts=25, crash_count=0, timeout_seconds=None, unique_key=None, tags=(),
        metadata=None, errors=errors, worker_id=1, expires_at=None, reason=reason,
    )  # fmt: skip


ERROR = AttemptError(
    attempt=2, at=NOON, type="ValueError", message="no file", traceback="", worker="here:1",
    claimed_at=NOON,
)  # fmt: skip


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_times_and_short_words_are_whole_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = screen(monkeypatch, width)
    long = "a text of many words that is folded where there is no room for it"
    print_table(("id", "state", "at", "text"), [(1, "completed", NOON, long)], empty="")
    said = shown.getvalue()
    assert "completed" in said
    assert "2026-05-01 12:00:00Z" in said
    assert (long in said) is (width == 200)


def test_a_list_of_jobs_fits_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = screen(monkeypatch, 80)
    print_jobs([("", job(JobState.COMPLETED))])
    _, rule, row = shown.getvalue().splitlines()
    assert max(len(rule), len(row)) <= 80


def test_a_list_of_jobs_shows_no_error_of_one_that_is_completed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_jobs([("", job(JobState.COMPLETED, None, ERROR))])
    assert "no file" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("reason", "errors", "said"),
    [
        ("failed 2 times, the last with ValueError", [ERROR], "ValueError: no file"),
        ("discarded: no such order", [ERROR], "discarded: no such order"),
        ("it had no attempts left", [], "it had no attempts left"),
        (None, [ERROR], "ValueError: no file"),
    ],
)
def test_a_list_of_jobs_says_why(
    reason: str | None, errors: list[AttemptError], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_jobs([("", job(JobState.DEAD, reason, *errors))])
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"  {said}")


def test_a_list_says_how_to_go_on() -> None:
    one = [job(JobState.COMPLETED)]
    end, more, none = JobPage(one, None), JobPage(one, 7), JobPage([], 7)
    assert how_to_go_on({"": end}, 5) == []
    for page in (more, none):
        (hint,) = how_to_go_on({"": page}, 5)
        assert hint == "there may be more: repeat the command with --before 7"
    (hint,) = how_to_go_on({"a": end, "b": more}, 5)
    assert hint == "there may be more on b: repeat the command with its --dsn alone and --before 7"
    assert how_to_go_on({"a": end, "b": more}, 1) == ["there may be more: a larger --limit"]
