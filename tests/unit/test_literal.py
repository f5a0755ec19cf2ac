"""Statements with their values written into them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from pgqueue.db import literal
from pgqueue.db.literal import Value, written_out
from pgqueue.db.statements import statement

USED = (
    "bury_damaged", "bury_jobs", "claim_jobs", "count_misfits", "find_ready_queues",
    "quarantine_job", "finish_damaged", "finish_jobs", "list_live_jobs", "promote_jobs",
    "read_job", "release_jobs",
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "'true'"),
        (-5, "'-5'"),
        (1.5, "'1.5'"),
        ("it's $1", "'it''s $1'"),
        ("a\\'b", "E'a\\\\''b'"),
        ([], "'{}'"),
        ([1, None, True], '\'{"1",null,"true"}\''),
        (['a"b', "c\\d", "null", ""], "E'" + r'{"a\\"b","c\\\\d","null",""}' + "'"),
        (datetime(2026, 1, 2, tzinfo=UTC), "'2026-01-02T00:00:00+00:00'"),
    ],
)
def test_a_value_is_a_literal(value: Value, written: str) -> None:
    assert literal.as_literal(value) == written


@pytest.mark.parametrize("name", USED)
def test_each_parameter_says_its_type(name: str) -> None:
    """So a literal in its place is read as that, as the parameter would be."""
    text = statement(name, "pgqueue")
    assert re.search(r"\$\d", text)
    assert not re.search(r"\$\d+(?!\d*::)", text)


def test_a_schema_may_have_a_dollar_sign() -> None:
    text = written_out("find_ready_queues", "a$1 'b\"", ["$1"])
    assert "'{\"$1\"}'::text[]" in text
    assert '"a$1 \'b"""' in text
