"""Tables of commands on terminals of any width."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime

import pytest

from pgqueue.admin.info import AttemptError, JobInfo
from pgqueue.cli.output import print_table
from pgqueue.cli.show import print_jobs
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
    print_jobs([("", job(JobState.COMPLETED))], limit=5)
    _, rule, row = shown.getvalue().splitlines()
    assert max(len(rule), len(row)) <= 80


def test_a_list_of_jobs_shows_no_error_of_one_that_is_completed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_jobs([("", job(JobState.COMPLETED, None, ERROR))], limit=5)
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
    print_jobs([("", job(JobState.DEAD, reason, *errors))], limit=5)
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"  {said}")
