"""What the log says of a start and of a stop: text from values."""

from __future__ import annotations

import pytest

from pgqueue.version import __version__
from pgqueue.worker.life_lines import (
    Here,
    StillRuns,
    named,
    released,
    started,
    stopping,
    told_to_end,
    waiting,
)

MAIL = StillRuns(5, "mail", 3.4, in_thread=False)
SCAN = StillRuns(6, "scan", 41.0, in_thread=True)
GIVEN_UP = StillRuns(2, "hang", 600.0, in_thread=True, is_owed=False)


def test_a_start_says_where_with_what_and_for_what() -> None:
    text, fields = started(
        Here("web-1", 42, "3.12.1", "17.2"), schema="shop", queues=["default", "slow"],
        concurrency=8, tasks=["scan", "mail"],
    )  # fmt: skip
    assert text == (
        f"worker started on web-1, pid 42: pgqueue {__version__}, Python 3.12.1, "
        'PostgreSQL 17.2; schema "shop", concurrency 8, queues default, slow; '
        "2 tasks: mail, scan"
    )
    assert fields["tasks"] == ["mail", "scan"]
    assert (fields["host"], fields["pid"], fields["postgresql"]) == ("web-1", 42, "17.2")


def test_of_many_tasks_the_first_are_named() -> None:
    names = [f"task{n:03}" for n in range(60)]
    text, _ = started(
        Here("h", 1, "3", "16"), schema="s", queues=["q"], concurrency=1, tasks=names
    )  # fmt: skip
    assert "60 tasks: task000, " in text
    assert text.endswith("task049 and 10 more")


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ([], "no job runs"),
        ([MAIL], "1 job still runs, with 20 s to end"),
        ([MAIL, SCAN], "2 jobs still run, with 20 s to end"),
        ([MAIL, GIVEN_UP], "1 job still runs, with 20 s to end; 1 job given up earlier did not "
                           "end: job 2 (hang, 600 s, in a thread)"),
        ([GIVEN_UP], "no job runs; 1 job given up earlier did not end: "
                     "job 2 (hang, 600 s, in a thread)"),
    ],
)  # fmt: skip
def test_a_stop_begins_with_how_many_run(jobs: list[StillRuns], said: str) -> None:
    assert stopping(jobs, 20.0) == said


def test_the_countdown_says_the_seconds_that_are_left() -> None:
    assert waiting([MAIL, SCAN, GIVEN_UP], 14.998) == "2 jobs still run, with 15 s to end"


def test_those_that_are_told_to_end_are_named_the_longest_first() -> None:
    assert told_to_end([MAIL, SCAN, GIVEN_UP], 20.0, forced=False, seconds=5.0) == (
        "the 20 s are over: 2 jobs are told to end, within 5 s: "
        "job 6 (scan, 41 s, in a thread), job 5 (mail, 3 s)"
    )
    assert told_to_end([MAIL], 20.0, forced=True, seconds=1.0) == (
        "a second request to stop came: 1 job is told to end, within 1 s: job 5 (mail, 3 s)"
    )


def test_those_that_did_not_end_are_named() -> None:
    said = "1 job did not end when told to, to be run again: job 6 (scan, 41 s, in a thread)"
    assert released([SCAN]) == said


def test_of_many_jobs_ten_are_named() -> None:
    jobs = [StillRuns(n, "t", n, in_thread=False) for n in range(25)]
    assert named(jobs).startswith("job 24 (t, 24 s), job 23")
    assert named(jobs).endswith("job 15 (t, 15 s) and 15 more")
