"""Logs of the command line: one record a line, whatever was logged."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from pgqueue.errors import ConfigError
from pgqueue.observe.logs import configure
from pgqueue.observe.plain import plain

log = logging.getLogger("pgqueue.test")
EVIL = "one\r\n2026-01-01 forged\x1b[2J\u202e\u2028\x85\udcff\0"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug", "text")
    log.info("job %s", EVIL, extra={"queue": EVIL, "n": 3})
    (line,) = capsys.readouterr().err.splitlines()
    assert "info pgqueue.test job one\\r\\n2026-01-01 forged\\x1b[2J\\u202e\\u2028\\x85" in line
    assert line.endswith("n=3")
    assert line.isprintable()


def test_a_traceback_is_indented(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text")
    try:
        raise ValueError(EVIL)
    except ValueError:
        log.exception("failed")
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("error pgqueue.test failed")
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log.debug("unheard")
    log.info("job %s", EVIL, extra={"queue": EVIL, "n": 3, "o": object(), "f": float("nan")})
    log.warning("wrong %d", "number")
    try:
        raise ValueError(EVIL)
    except ValueError:
        log.exception("failed")
    first, wrong, failed = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (first["message"], first["queue"]) == (f"job {EVIL}", EVIL)
    assert (first["level"], first["logger"]) == ("info", "pgqueue.test")
    assert first["time"].endswith("+00:00")
    assert wrong["message"] == "wrong %d ('number',)"
    assert "ValueError" in failed["error"]


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ConfigError, match='did you mean "debug"'):
        configure("debgu")
    with pytest.raises(ConfigError, match="text or json"):
        configure("info", "xml")


def test_plain_leaves_what_is_harmless() -> None:
    assert plain("héllo wörld 日本 ✓ a-b_c") == "héllo wörld 日本 ✓ a-b_c"
    for number in [*range(32), *range(127, 160), 0x202E, 0x2066, 0x200F, 0x2028, 0xFEFF, 0xD800]:
        assert plain(chr(number)).isascii(), number
        assert plain(chr(number)).isprintable(), number
    assert plain(sys.maxsize) == str(sys.maxsize)
