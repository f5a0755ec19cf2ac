"""The documents say what is so: the versions, the tests that they name, and the larger limit."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from pgqueue import Client, PgQueueError
from pgqueue.version import __version__

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "guide" / "security.md").read_text("utf-8")


def test_the_policy_names_this_version() -> None:
    minor = ".".join(__version__.split(".")[:2])
    assert f"| {minor} | yes" in (ROOT / "SECURITY.md").read_text("utf-8")


def test_every_rule_is_shown_by_a_test_that_exists() -> None:
    rules = re.findall(r"^\| (S\d+) \|.*\| (.*) \|$", DOCS, re.MULTILINE)
    assert len(rules) == 17
    here = Path(__file__).parent
    for rule, shown_by in rules:
        names = re.findall(r"`((?:[\w/]+/)?test_\w+\.py)`", shown_by)
        assert names, rule
        texts = [((ROOT if "/" in name else here) / name).read_text("utf-8") for name in names]
        assert any(re.search(rf"\b{rule}\b|_{rule}_", text) for text in texts), rule


@pytest.mark.rule("S12")
def test_the_owner_sets_a_larger_limit(dsn: str, root: psycopg.Connection) -> None:
    block = re.search(r"```sql\n(alter domain.*?)```", DOCS, re.DOTALL)
    assert block is not None
    with Client(dsn, max_args_bytes=20_000_000) as client:
        with pytest.raises(PgQueueError, match="job_args_size") as raised:
            client.enqueue("t", {"x": "x" * 10_000_000})
        assert len(str(raised.value)) < 500
        root.execute(block[1].encode())
        client.enqueue("t", {"x": "x" * 10_000_000})
