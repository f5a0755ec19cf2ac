"""The thread that writes the log: nobody waits for it, and it says what it dropped."""

from __future__ import annotations

import ast
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.waiting import wait_until

import pgqueue
from pgqueue.observe import aside
from pgqueue.observe.writer import Writer

LIMIT = 10


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("pgqueue.test", logging.INFO, __file__, 1, text, (), None)


class Reader:
    """Who reads the log, when the gate is open; what is handed to it is one record at a time."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.waits = threading.Event()
        self.lines: list[str] = []

    def write(self, record: logging.LogRecord) -> None:
        self.waits.set()
        assert self.gate.wait(30)
        self.lines.append(record.getMessage())


def writing() -> bool:
    """Whether the thread of a writer runs."""
    return any(thread.name == "pgqueue-log" for thread in threading.enumerate())


class Notes(logging.Handler):
    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def emit(self, record: logging.LogRecord) -> None:
        self.reader.lines.append(record.getMessage())


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    logger, notes = logging.getLogger("pgqueue.log"), Notes(reader)
    logger.addHandler(notes)
    yield reader
    logger.removeHandler(notes)
    reader.gate.set()


def test_what_is_logged_is_written_in_order(reader: Reader) -> None:
    reader.gate.set()
    writer = Writer(20_000)
    for n in range(20_000):
        writer.put(reader.write, record(f"{n}"))
    assert writer.close(30)
    assert reader.lines == [f"{n}" for n in range(20_000)]


def test_what_nobody_reads_is_dropped_counted_and_said_where_it_would_have_stood(
    reader: Reader,
) -> None:
    writer = Writer(LIMIT)
    writer.put(reader.write, record("first"))
    assert reader.waits.wait(30)
    for n in range(25):
        writer.put(reader.write, record(f"{n}"))
    assert not writer.flush(0.01)
    reader.gate.set()
    assert writer.flush(30)
    writer.put(reader.write, record("last"))
    assert writer.close(30)
    said = "15 lines of the log were dropped here: nobody read it"
    assert reader.lines == ["first", *map(str, range(LIMIT)), said, "last"]


def test_a_writer_that_is_stuck_is_left_behind(reader: Reader) -> None:
    writer = Writer()
    writer.put(reader.write, record("first"))
    assert reader.waits.wait(30)
    assert not writer.close(0.01)
    reader.gate.set()  # for the check of threads left behind


def test_the_thread_ends_when_nothing_is_logged_and_begins_anew(reader: Reader) -> None:
    reader.gate.set()
    writer = Writer(idle=0.01)
    for n in range(3):
        writer.put(reader.write, record(f"{n}"))
        wait_until(lambda: not writing(), timeout_s=30, what="the thread ends")
    assert reader.lines == ["0", "1", "2"]
    assert writer.close(30)


def test_where_no_thread_can_be_had_it_is_written_at_once(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    reader.gate.set()
    writer = Writer()
    for n in range(3):
        writer.put(reader.write, record(f"{n}"))
        assert reader.lines[n] == f"{n}"
    assert writer.flush(30)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_an_error_of_a_handler_ends_nothing(
    reader: Reader, capsys: pytest.CaptureFixture[str], error: type[BaseException]
) -> None:
    def fail(_: logging.LogRecord) -> None:
        raise error("disk full")

    reader.gate.set()
    writer = Writer()
    writer.put(fail, record("one"))
    writer.put(reader.write, record("two"))
    assert writer.close(30)
    assert reader.lines == ["two"]
    assert "disk full" in capsys.readouterr().err


def test_a_thread_logs_aside_to_whatever_handlers_are_there_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("pgqueue.worker")
    log.disabled = True  # as dictConfig leaves it
    seen: list[str | None] = []
    log.addHandler(handler := logging.Handler())
    handler.emit = lambda _: seen.append(threading.current_thread().name)  # type: ignore[method-assign]
    try:
        with aside.aside():
            log.warning("a %s", "word")
        log.warning("another")
    finally:
        log.removeHandler(handler)
    assert seen == ["pgqueue-log", threading.current_thread().name]
    assert caplog.messages == ["a word", "another"]


def test_every_logger_of_ours_is_known() -> None:
    named: set[str] = set()
    for file in Path(pgqueue.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "logging.getLogger"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                named.add(str(node.args[0].value))
    assert named - {"pgqueue.log"} == set(aside.LOGGERS) - {"asyncio"}
