"""What notifications say, and that no text does harm: anybody may send one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.worker.notice import (
    CancelAsked,
    DueIn,
    Enqueued,
    LimitsChanged,
    Lowered,
    Notice,
    Permits,
    Rewound,
    SlotIn,
    WatchLeft,
    Word,
    WorkersCalled,
    read,
)


@pytest.mark.parametrize(
    ("payload", "notice"),
    [
        ("q:mail", Enqueued("mail")),
        ("q:a:b", Enqueued("a:b")),
        ("m:16:mail", WorkersCalled("mail", 16)),
        ("m:999999999:a:b", WorkersCalled("a:b", 999_999_999)),
        ("d:mail", Lowered("mail")),
        ("r:77:mail", Rewound("mail", 77)),
        ("r:9223372036854775807:mail", Rewound("mail", 9_223_372_036_854_775_807)),
        ("s:1.5", DueIn(1.5)),
        ("s:0", DueIn(0.0)),
        ("t:1.5", SlotIn(1.5)),
        ("t:soon", None),
        ("t:-1", None),
        ("c", CancelAsked()),
        ("p:0:mail", Permits("mail", 0)),
        ("p:77:a:b", Permits("a:b", 77)),
        ("p:x:mail", None),
        ("l", LimitsChanged()),
        ("w", WatchLeft()),
        ("h", Word()),
        # Nothing that we know.
        ("", None),
        ("x:mail", None),
        ("m:many:mail", None),
        ("m:-1:mail", None),
        ("m:1000000000:mail", None),
        ("r::mail", None),
        ("r:-5:mail", None),
        ("r:10000000000000000000:mail", None),
        ("s:", None),
        ("s:soon", None),
        ("s:-1", None),
        ("s:3600", None),
        ("s:nan", None),
        ("s:inf", None),
    ],
)
def test_it_is_read(payload: str, notice: Notice | None) -> None:
    assert read(payload) == notice


@given(st.one_of(st.text(), st.builds("{}:{}".format, st.sampled_from("qmdrscwhx"), st.text())))
def test_any_text_is_read_or_is_nothing(payload: str) -> None:
    notice = read(payload)
    if isinstance(notice, WorkersCalled):
        assert 0 <= notice.reach < 2**31
    elif isinstance(notice, Rewound):
        assert 0 <= notice.position < 10**19
    elif isinstance(notice, DueIn):
        assert 0 <= notice.seconds < 3600
