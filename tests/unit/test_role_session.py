"""How the session of a role is opened, and with what its transactions begin; no server."""

from __future__ import annotations

import pytest

from pgqueue.db.connect import Pooler
from pgqueue.db.role_session import RoleSession

DSN = "postgresql:///nowhere"


def session(role: str, *, pooled: bool = False, by_session: bool = False) -> RoleSession:
    return RoleSession.of(role, DSN, deadline=8.0, pooled=pooled, pooled_by_session=by_session)


@pytest.mark.parametrize(
    ("pooled", "by_session", "pooler", "name"),
    [
        (False, False, "none", "pgqueue claim"),
        (False, True, "session", "pgqueue claim"),
        (True, False, "transaction", "pgqueue worker"),
    ],
)
def test_what_a_session_is_called(
    pooled: bool, by_session: bool, pooler: Pooler, name: str
) -> None:
    one = session("claim", pooled=pooled, by_session=by_session)
    assert (one.pooler, one.name) == (pooler, name)


@pytest.mark.parametrize("by_session", [False, True])
def test_a_session_that_is_ours_keeps_its_settings(by_session: bool) -> None:
    one = session("claim", by_session=by_session)
    assert one.settings["synchronous_commit"] == "off"
    assert one.settings["statement_timeout"] == "8000"
    assert (one.local, one.begin) == ({}, None)


def test_behind_a_pooler_each_transaction_sets_them() -> None:
    one = session("finish", pooled=True)
    assert one.local == one.settings
    assert one.begin is not None
    begin, *each = one.begin.rstrip(";").split(";")
    assert begin == "begin isolation level read committed"
    assert each == [f"set local {name} = '{value}'" for name, value in one.settings.items()]
