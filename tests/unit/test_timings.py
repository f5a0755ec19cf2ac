"""Numbers that stand in a statement and in Python, and must be the same or in an order.

Relations between two numbers in Python are asserted where they are defined.
"""

from __future__ import annotations

import re

from pgqueue.db.fleet_store import READ_ALL_SECONDS
from pgqueue.db.statements import statement
from pgqueue.worker import seat
from pgqueue.worker.run import buffer
from pgqueue.worker.timings import TIMINGS


def number(name: str, pattern: str) -> float:
    """The one number, or the same one again, that the pattern finds in a statement."""
    (found,) = set(re.findall(pattern, statement(name, "pgqueue")))
    return float(found)


def test_whole_reads_have_the_same_time_on_both_sides() -> None:
    assert number("read_all_rows", r"'statement_timeout', '(\d+)'") == 1000 * READ_ALL_SECONDS


def test_loads_are_divided_alike() -> None:
    (found,) = set(re.findall(r"array\[([\d, ]+)\]", statement("renew_lease", "pgqueue")))
    assert found == ", ".join(map(str, seat.LOADS))


def test_a_job_that_runs_alone_is_blamed_if_it_was_marked() -> None:
    assert number("rescue_jobs", r"held\.crash_count < (\d+)") == buffer.QUARANTINE_CRASHES


def test_no_session_counts_as_gone_before_others_had_time_to_come_back() -> None:
    assert number("renew_lease", r"\$7::float8 > (\d+)") > TIMINGS.rescue.confirm_after
