"""Logs of the command line: one record a line, whatever was logged."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from collections.abc import Iterator

import pytest

from pgqueue.errors import ConfigError
from pgqueue.observe.logs import be_heard, configure
from pgqueue.observe.plain import plain

log = logging.getLogger("shop.test")
EVIL = "one\r\n2026-01-01 forged\x1b[2J\u202e\u2028\x85\udcff\0"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", "pgqueue", "pgqueue.worker")]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:] = handlers
        one.setLevel(level)
        one.propagate = propagate
    for one in logging.root.manager.loggerDict.values():
        if isinstance(one, logging.Logger):
            one.disabled = False


def test_a_line_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug", "text")
    log.info("job %s", EVIL, extra={"queue": EVIL, "n": 3})
    (line,) = capsys.readouterr().err.splitlines()
    assert "info shop.test job one\\r\\n2026-01-01 forged\\x1b[2J\\u202e\\u2028\\x85" in line
    assert line.endswith("n=3")
    assert line.isprintable()


def test_a_traceback_is_indented(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text")
    try:
        raise ValueError(EVIL)
    except ValueError:
        log.exception("failed")
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("error shop.test failed")
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
    assert (first["level"], first["logger"]) == ("info", "shop.test")
    assert first["time"].endswith("+00:00")
    assert wrong["message"] == "wrong %d ('number',)"
    assert "ValueError" in failed["error"]


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ConfigError, match='did you mean "debug"'):
        configure("debgu")
    with pytest.raises(ConfigError, match="text or json"):
        configure("info", "xml")


def nothing_is_configured() -> None:
    """pytest has handlers of its own at the root."""
    logging.getLogger().handlers[:] = []


def say(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is written of a line of ours and one of the app."""
    logging.getLogger("pgqueue.worker").info("a job")
    logging.getLogger("shop").info("a sale")
    return capsys.readouterr().err.splitlines()


def test_an_app_that_configures_nothing_is_heard_with_us(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nothing_is_configured()
    logging.getLogger().addHandler(logging.NullHandler())
    be_heard("info", "text")
    first, second = say(capsys)
    assert first.endswith("info pgqueue.worker a job")
    assert second.endswith("info shop a sale")


def test_an_app_that_gives_the_root_a_handler_keeps_it_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nothing_is_configured()
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    root.addHandler(theirs := logging.StreamHandler())
    be_heard("info", "json")
    assert say(capsys) == ["a job"]
    assert (root.handlers, root.level) == ([theirs], logging.WARNING)


def test_a_level_that_the_app_gave_us_stays(capsys: pytest.CaptureFixture[str]) -> None:
    nothing_is_configured()
    logging.getLogger().addHandler(logging.StreamHandler())
    logging.getLogger("pgqueue").setLevel(logging.ERROR)
    be_heard("info", "text")
    assert say(capsys) == []


@pytest.mark.parametrize("propagate", [True, False])
def test_an_app_that_gives_us_alone_a_handler_hears_us_once(
    capsys: pytest.CaptureFixture[str], *, propagate: bool
) -> None:
    nothing_is_configured()
    ours = logging.getLogger("pgqueue")
    ours.addHandler(logging.StreamHandler())
    ours.propagate = propagate
    ours.setLevel(logging.INFO)
    be_heard("info", "text")
    first, second = say(capsys)
    assert first == "a job"
    assert second.endswith("info shop a sale")


def test_dict_config_does_not_mute_us(capsys: pytest.CaptureFixture[str]) -> None:
    nothing_is_configured()
    logging.config.dictConfig({
        "version": 1,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["console"], "level": "INFO"},
    })  # fmt: skip
    assert logging.getLogger("pgqueue.worker").disabled
    be_heard("info", "text")
    assert "a job" in say(capsys)


def test_without_a_level_nothing_is_configured(capsys: pytest.CaptureFixture[str]) -> None:
    nothing_is_configured()
    be_heard(None, "text")
    assert say(capsys) == []
    assert logging.getLogger().handlers == []


def test_a_field_whose_name_is_taken_gets_another(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log.info("sold", extra={"time": "noon", "level": 3, "task": "mail"})
    (line,) = capsys.readouterr().err.splitlines()
    pairs = json.loads(line, object_pairs_hook=list)
    assert len({name for name, _ in pairs}) == len(pairs)
    assert {("time_", "noon"), ("level_", 3), ("task", "mail")} <= {tuple(one) for one in pairs}


def test_plain_leaves_what_is_harmless() -> None:
    assert plain("héllo wörld 日本 ✓ a-b_c") == "héllo wörld 日本 ✓ a-b_c"
    for number in [*range(32), *range(127, 160), 0x202E, 0x2066, 0x200F, 0x2028, 0xFEFF, 0xD800]:
        assert plain(chr(number)).isascii(), number
        assert plain(chr(number)).isprintable(), number
    assert plain(sys.maxsize) == str(sys.maxsize)
