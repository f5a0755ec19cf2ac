"""One line of the log never exceeds a few kB, in either format, and says what was cut."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from pgqueue.observe.bounds import bound, cut, settle
from pgqueue.observe.logs import JsonFormatter, TextFormatter

A_FEW_KB = 8_200
HUGE = ["x" * 1_000_000, "\U0001f600" * 300_000, "\u202e" * 300_000, "\n" * 100_000, "é" * 500_000]


def record(text: str, *args: object, error: BaseException | None = None, **extra: Any) -> Any:
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("shop.test", logging.ERROR, __file__, 1, text, args, info)
    vars(made).update(extra)
    return made


def failed(text: str, depth: int = 0) -> BaseException:
    def fall(n: int) -> None:
        if n:
            other(n - 1)
        raise ValueError(text)

    def other(n: int) -> None:
        fall(n)

    try:
        fall(depth)
    except ValueError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("text", HUGE, ids=["ascii", "emoji", "marks", "lines", "latin"])
@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_huge_messages_fields_and_errors_are_cut(formatter: logging.Formatter, text: str) -> None:
    for made in (
        record("failed: %s", text),
        record("failed", queue=text),
        record("failed", **{f"field{n}": text for n in range(500)}),
        record("failed", error=failed(text)),
        record("failed: %s", text, error=failed(text, depth=300), job=text),
    ):
        lines = formatter.format(made).split("\n")
        assert max(len(line.encode()) for line in lines) <= A_FEW_KB
        assert sum(len(line.encode()) for line in lines) <= 6 * A_FEW_KB
        assert "failed" in lines[0]
        assert "cut" in "".join(lines)
        if isinstance(formatter, JsonFormatter):
            assert json.loads(lines[0])["level"] == "error"


def test_what_is_short_stays_as_it_is() -> None:
    made = record("job %d of %s: %.1f%%", 7, "mail", 2.5, error=failed("no"))
    settle(made, keep_error=True)
    assert made.msg == "job %d of %s: %.1f%%"
    assert made.args == (7, "mail", 2.5)
    assert made.exc_info is not None
    assert TextFormatter().format(made).endswith("ValueError: no")


def test_who_formats_at_once_gets_the_arguments_as_they_are() -> None:
    error = failed("no")
    made = record("failed: %s", error)
    bound(made)
    assert made.args == (error,)


@pytest.mark.parametrize("text", HUGE)
def test_a_record_that_waits_is_small(text: str) -> None:
    made = record("failed: %s", text, error=failed(text))
    settle(made, keep_error=False)
    assert sys.getsizeof(made.msg) < 20_000
    assert made.args == ()
    assert made.exc_info is None
    assert "\n" in text or "ValueError" in made.exc_text
    assert sys.getsizeof(made.exc_text) < 20_000
    assert json.loads(JsonFormatter().format(made))["error"].startswith("Traceback")


@pytest.mark.parametrize("longest", [0, 60, 100, 4000])
def test_cut_keeps_both_ends(longest: int) -> None:
    for text in HUGE:
        short = cut(text, longest)
        assert len(short.encode()) <= max(longest, 60)
        assert "characters cut" in short
    assert cut("short", 60) == "short"
    assert cut("é" * 30, 60) == "é" * 30
