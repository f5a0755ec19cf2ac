"""The command line's handler, which has no lock: Python 3.13 would enter one."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from pgqueue.observe.stderr import StderrHandler


@pytest.fixture
def handler() -> Iterator[StderrHandler]:
    handler = StderrHandler(io.StringIO())
    logger = logging.getLogger("tests.stderr")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def written(handler: StderrHandler) -> str:
    stream = handler.stream
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_a_record_is_written_and_nothing_is_raised(handler: StderrHandler) -> None:
    logging.getLogger("tests.stderr").warning("%d jobs", 7)
    assert written(handler) == "7 jobs\n"


def test_its_filters_decide(handler: StderrHandler) -> None:
    handler.addFilter(lambda record: "secret" not in record.getMessage())
    logging.getLogger("tests.stderr").warning("a secret")
    logging.getLogger("tests.stderr").warning("a word")
    assert written(handler) == "a word\n"
