"""What a handler's commit sends, and what a failure of it says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pgqueue.db.exchange import RESET
from pgqueue.worker.run.own_commit import is_receipt_refused, is_refused, last_message

COUNT = "execute pgqueue_count_prepared"


def job(*, flow: str | None = None, used: float | None = None) -> Any:
    return SimpleNamespace(id=17, token=-5, flow=flow, used=used)


def statements(text: str) -> list[str]:
    """The statements of a message; what is prepared by its name alone."""
    parts = text.replace(RESET, "reset").split(";")
    return [part.partition(" as ")[0] for part in parts]


def test_a_session_prepares_once_and_then_executes() -> None:
    first = last_message("pgqueue", job(), prepared=set())
    assert statements(first.text) == [
        "set local enable_seqscan = off",
        "prepare pgqueue_complete_own_job(bigint, bigint)",
        "execute pgqueue_complete_own_job(17, -5)",
        "commit",
        "reset",
    ]
    again = last_message("pgqueue", job(), prepared=set(first.prepares))
    assert statements(again.text) == [
        "set local enable_seqscan = off",
        "execute pgqueue_complete_own_job(17, -5)",
        "commit",
        "reset",
    ]
    assert again.prepares == ()


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize("flow", ["f", None])
def test_the_completion_stands_before_the_commit(*, pooled: bool, begin: bool, flow: Any) -> None:
    prepared = None if pooled else {"complete_own_job", "complete_own_flow_job"}
    text = last_message("s", job(flow=flow), prepared=prepared, begin=begin).text
    completion = text.index("with gone" if pooled else "execute pgqueue_complete")
    assert completion < text.index(";commit")
    assert text.endswith(";begin") is begin
    assert (RESET in text) is not pooled


def test_the_next_transaction_has_nothing_of_the_cleaning_in_it() -> None:
    """Or it could not choose its isolation level any more."""
    message = last_message("pgqueue", job(), prepared={"complete_own_job"}, begin=True)
    assert statements(message.text)[2:] == ["commit", "begin", "reset", "commit", "begin"]


def test_the_count_of_what_others_prepared_is_the_answer() -> None:
    message = last_message("pgqueue", job(), prepared=set(), count=True)
    assert message.text.endswith(f"{RESET};{COUNT}")
    assert message.prepares == ("complete_own_job", "count_prepared")


@pytest.mark.parametrize(("used", "sql"), [(None, "null"), (2.5, "2.5"), (1e-05, "1e-05")])
def test_behind_a_pooler_the_values_are_in_the_text(used: float | None, sql: str) -> None:
    message = last_message("pgqueue", job(flow="f", used=used), prepared=None)
    assert "where id = (17)::bigint and coalesce(claim_token, 0) = (-5)::bigint" in message.text
    assert f"({sql})::float8" in message.text
    assert "$" not in message.text


@pytest.mark.parametrize(
    ("sqlstate", "refused"),
    [
        ("23503", True),
        ("40001", True),
        ("P0001", True),
        ("57014", False),
        ("42501", False),
        (None, False),
    ],
)
def test_only_what_no_cleaning_says_is_a_refused_commit(sqlstate: Any, *, refused: bool) -> None:
    """The rest is asked of the database: the commit may have been carried out before it."""
    assert is_refused(sqlstate) is refused


def test_a_refused_receipt_is_told_by_code_and_text() -> None:
    said = 'ungültige Eingabesyntax: "pgqueue: the receipt is not good any more"'
    assert is_receipt_refused("22P02", said)
    assert not is_receipt_refused("22P02", 'invalid input syntax for type bigint: "x"')
    assert not is_receipt_refused("P0001", said)
