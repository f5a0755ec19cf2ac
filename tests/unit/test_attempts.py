"""What attempts took, and which tracebacks are printed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgqueue.admin.info import AttemptError
from pgqueue.cli.attempts import ran_seconds, tracebacks_once

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def error(attempt: int, traceback: str = "a", message: str = "m") -> AttemptError:
    return AttemptError(attempt, NOW, "E", message, traceback, "host:1")


def test_a_traceback_is_shown_where_it_is_new() -> None:
    errors = [error(1), error(2), error(3, "b"), error(4, "b"), error(5), error(6, message="n")]
    assert [same for _, same in tracebacks_once(errors)] == [None, 1, None, 3, 1, None]


def test_without_a_traceback_nothing_is_left_out() -> None:
    assert [same for _, same in tracebacks_once([error(1, ""), error(2, "")])] == [None, None]


def test_a_span_ends_now_while_it_runs_and_is_never_negative() -> None:
    then = NOW - timedelta(seconds=5)
    assert ran_seconds(then, None, NOW) == 5
    assert ran_seconds(then, then + timedelta(seconds=2), NOW) == 2
    assert ran_seconds(NOW, then, NOW) == 0
    assert ran_seconds(None, None, NOW) is None
