"""A signal's handler raises while arguments are being checked: that is no fault of theirs."""

from __future__ import annotations

import signal

import pytest

from pgqueue.payload.refused import said


class Late(Exception):
    pass


def on_signal(_number: int, _frame: object) -> None:
    raise Late("in time")


def caught(raising: bool) -> BaseException:
    try:
        if raising:
            signal.raise_signal(signal.SIGUSR1)
        raise ValueError("no")
    except Exception as exc:
        return exc


def test_what_a_handler_raised_is_not_told_as_a_refusal() -> None:
    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        with pytest.raises(Late):
            said(caught(raising=True))
        assert said(caught(raising=False)) == "ValueError: no"
    finally:
        signal.signal(signal.SIGUSR1, before)
