"""What a process writes where its streams are not UTF-8: ASCII, whatever the reader decodes."""

from __future__ import annotations

import io
import logging
import sys

import click
import pytest

from pgqueue.observe.stderr import StderrHandler
from pgqueue.observe.streams import settle

TEXT = "Łódź ☃ 😀"
ESCAPED = rb"\u0141\xf3d\u017a \u2603 \U0001f600"


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("utf-8", TEXT.encode()),
        ("UTF8", TEXT.encode()),
        ("ascii", ESCAPED),
        ("latin-1", ESCAPED),  # has some of the letters; the reader may expect UTF-8
        ("cp1252", ESCAPED),
        ("euc_jp", ESCAPED),
        ("utf-16", ESCAPED),
    ],
)
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_all_beyond_ascii_is_escaped_unless_the_stream_is_utf_8(
    monkeypatch: pytest.MonkeyPatch, name: str, encoding: str, written: bytes
) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    monkeypatch.setattr(sys, name, stream)
    settle()
    settle()  # the command line, and then the worker that it runs
    print(TEXT, file=getattr(sys, name), flush=True)
    click.echo(TEXT, err=name == "stderr")
    StderrHandler(stream).write(logging.makeLogRecord({"msg": TEXT}))
    stream.flush()
    assert raw.getvalue() == (written + b"\n") * 3


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_lone_surrogate_is_escaped_as_well(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    settle()
    click.echo("\ud83d")
    assert raw.getvalue() == b"\\ud83d\n"
