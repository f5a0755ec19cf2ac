"""The rules for flows, on stories made up by hand."""

from __future__ import annotations

from pathlib import Path

import asyncpg
from chaos.conduct import WITNESSES
from chaos.findings import Findings
from chaos.load import load
from chaos.turns import Change, Turn, check_flows, judge_limits, judge_order


def limits(**settings: object) -> Change:
    return Change("f", None, "f", None, False, False, settings)


def placed(job: int, key: str = "a", *, admits: bool = True) -> Change:
    return Change("u", job, "f", key, True, admits)


def gone(job: int) -> Change:
    return Change("d", job, None, None, False, False)


def judged(*changes: Change) -> set[str]:
    findings = Findings()
    judge_limits(changes, findings)
    return set(findings.violations)


def test_as_many_as_the_limits_say() -> None:
    two = limits(concurrency=2, key_concurrency=1)
    assert judged(two, placed(1), placed(2, "b"), gone(1), placed(3)) == set()
    assert judged(two, placed(1), placed(2)) == {"I24"}
    assert judged(two, placed(1), placed(2, "b"), placed(3, "c")) == {"I24"}
    assert judged(limits(ordered=True), placed(1), placed(2)) == {"I24"}


def test_a_lowered_limit_counts_for_what_is_admitted_from_then_on() -> None:
    before = (limits(concurrency=3), placed(1), placed(2), placed(3))
    assert judged(*before, limits(concurrency=1), gone(1), gone(2), gone(3), placed(4)) == set()
    assert judged(*before, limits(concurrency=3), gone(1), placed(4)) == set()
    assert judged(*before, limits(concurrency=1), gone(1), placed(4)) == {"I24"}


def test_a_change_of_what_is_admitted_is_no_admission() -> None:
    assert judged(limits(concurrency=1), placed(1), placed(1, admits=False)) == set()


def test_a_position_comes_from_an_admission() -> None:
    assert judged(limits(), placed(1, admits=False)) == {"I28"}


def test_the_order_of_a_key() -> None:
    first = Turn("a", 1, 0.0, 1.0, claimed=10, ended=20)

    def order(*turns: Turn) -> set[str]:
        findings = Findings()
        judge_order(turns, findings)
        return set(findings.violations)

    assert order(first, Turn("a", 2, 2.0, 3.0, claimed=21, ended=22)) == set()
    assert order(first, Turn("a", 2, 2.0, 3.0, claimed=15, ended=22)) == {"I29"}
    assert order(first, Turn("a", 2, 0.5, 3.0, claimed=15, ended=22)) == set()
    assert order(first, Turn("b", 2, 2.0, 3.0, claimed=15, ended=22)) == set()


_ENQUEUED = """
insert into chaos.enq values (2, 7, 'noop', null, null, 'ok', false, 0.0, 1.0, 'tx');
insert into chaos.enq values (1, 6, 'ledger', null, null, 'ok', false, 2.0, 3.0, 'tx');
insert into chaos.enq values (3, 7, 'ledger', null, null, 'ok', false, 2.0, 3.0, 'tx');
"""
_AUDIT = """
insert into chaos.audit (op, job, attempt, crashes, key, task, flow, fkey, token) values
    ('i', 6, 0, 0, 1, 'ledger', 'ledger', 'a', null),
    ('i', 7, 0, 0, 3, 'ledger', 'ledger', 'a', null),
    ('u', 6, 1, 0, null, null, 'ledger', 'a', 60), ('d', 6, 1, 0, null, null, null, null, 60),
    ('u', 7, 1, 0, null, null, 'ledger', 'a', 70), ('d', 7, 1, 0, null, null, null, null, 70);
"""


async def test_an_id_that_is_given_again_has_no_place_of_the_job_before(
    dsn: str, tmp_path: Path
) -> None:
    """A server that took a job back gives its id to another."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(WITNESSES.read_text())
        await load(connection, tmp_path)
        await connection.execute(_ENQUEUED + _AUDIT)
        findings = Findings()
        await check_flows(connection, tmp_path, findings)
        assert findings.violations["I29"] == 0
    finally:
        await connection.close()
