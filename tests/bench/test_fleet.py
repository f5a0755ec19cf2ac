"""The workload `fleet`: which fleets, and what its samples say. No process is started here."""

from __future__ import annotations

import pytest
from benchmarks.rows import Row
from benchmarks.server_log import count
from benchmarks.watch import Stamp
from benchmarks.workloads.fleet_load import Turn
from benchmarks.workloads.fleet_plan import (
    Crew,
    begun_within,
    compared,
    crews_of,
    drain_rate,
    grouping,
    last_waits,
    recovery,
    slots_of,
)
from benchmarks.workloads.fleet_rows import rows_of


def test_sizes_are_read() -> None:
    assert crews_of("1, 30,100-pooled") == [Crew(1), Crew(30), Crew(100, pooled=True)]
    names = [str(crew) for crew in crews_of("1,30,100-pooled")]
    assert names == ["1 worker", "30 workers", "100 workers, PgBouncer"]


@pytest.mark.parametrize("sizes", ["", "0", "4,", "many", "-3", "30pooled", "2000"])
def test_wrong_size_is_named(sizes: str) -> None:
    with pytest.raises(ValueError, match="is no size of a fleet; write 30, or 30-pooled"):
        crews_of(sizes)


def test_each_fleet_is_measured_with_each_number_of_slots() -> None:
    names = [str(crew) for crew in crews_of("1,4-pooled", slots_of("1, 4"))]
    assert names == [
        "1 worker of 1 slot",
        "4 workers of 1 slot, PgBouncer",
        "1 worker of 4 slots",
        "4 workers of 4 slots, PgBouncer",
    ]


@pytest.mark.parametrize("slots", ["", "0", "4,", "many", "-3", "20000"])
def test_wrong_number_of_slots_is_named(slots: str) -> None:
    with pytest.raises(ValueError, match="is no number of slots; write 1, or 1,4"):
        slots_of(slots)


def test_larger_fleets_are_compared_with_four_workers_of_as_many_slots() -> None:
    assert compared(crews_of("1,4,30,100,30-pooled")) == crews_of("4,30,100")
    assert compared(crews_of("4,30", (1, 4))) == crews_of("4,30", (1, 4))
    assert compared([Crew(4), *crews_of("30,100", (1,))]) == []
    assert compared(crews_of("1,4,4-pooled,30-pooled")) == []


def test_supervisors_have_ten_processes_at_most() -> None:
    wanted = {1: (1, 1), 4: (1, 4), 25: (5, 5), 30: (3, 10), 37: (37, 1), 200: (20, 10)}
    assert {workers: grouping(workers) for workers in wanted} == wanted


def test_jobs_begun_in_the_span_of_a_stream() -> None:
    stamps = [Stamp(1000, 1.0), Stamp(1500, 400.0), Stamp(1999, 500.0)]
    assert begun_within(stamps, 1.0) == 2
    assert begun_within([], 1.0) == 0


def test_drain_is_from_the_first_to_the_last_that_began() -> None:
    assert drain_rate([Stamp(1000, 100.0 + n) for n in range(0, 501, 5)]) == pytest.approx(202)
    assert drain_rate([Stamp(1000, 1.0)]) == 1000


def test_burst_lasts_until_its_last_job_begins() -> None:
    stamps = [Stamp(1000, 5.0), Stamp(1000, 9.0), Stamp(1000, 7.0), Stamp(3000, 2.0)]
    assert last_waits(stamps) == [9.0, 2.0]


def stream(*slow: int) -> list[Stamp]:
    """Ten jobs a second for ten seconds, from 1,000 ms on, quick but in these seconds."""
    return [Stamp(1000 + 100 * n, 200.0 if n // 10 in slow else 5.0) for n in range(100)]


def test_recovery_is_the_first_of_three_quick_seconds() -> None:
    assert recovery(stream(), 1000, 50) == 0
    assert recovery(stream(0, 1), 1000, 50) == 2
    assert recovery(stream(0, 3), 1000, 50) == 4
    assert recovery(stream(0, 4), 1000, 50) == 1


def test_recovery_looks_at_jobs_enqueued_after_the_server_was_up() -> None:
    assert recovery(stream(0, 1), 3000, 50) == 0
    gap = [stamp for stamp in stream() if not 2000 <= stamp.enqueued_ms < 4000]
    assert recovery(gap, 1000, 50) == 3  # seconds without a job prove nothing


def test_no_recovery() -> None:
    assert recovery(stream(1, 3, 5, 7, 9), 1000, 50) is None
    assert recovery([], 1000, 50) is None


def test_transactions_are_counted_by_number_and_database() -> None:
    log = """\
bench-trace run_1 12/7 LOG:  statement: begin
bench-trace run_1 12/7 LOG:  execute __asyncpg_stmt_1__: /* claim_jobs */ with want as (
\tselect 1
bench-trace run_1 12/7 LOG:  statement: commit
bench-trace run_1 12/8 LOG:  execute s: /* claim_jobs */ with want as (
bench-trace run_1 3/8 LOG:  execute s: /* claim_jobs */ with want as (
bench-trace run_1 5/1 LOG:  execute s: -- Fetch jobs, many
bench-trace run_1 3/8 DETAIL:  Parameters: $1 = 'execute s: a lie'
bench-trace run_1 3/9 LOG:  statement: --
\t
\t  delete from it
\t  where true
bench-trace run_2 4/1 LOG:  statement: select 1
bench-trace [unknown] 4/2 LOG:  connection received
2026-11-29 21:00:00 UTC [7] LOG:  checkpoint starting
"""
    assert count(log.splitlines(), "run_1") == {
        "begin": 1,
        "claim_jobs": 2,
        "fetch jobs, many": 1,
        "delete from it": 1,
    }


def turns(*sizes: int, **samples: float) -> dict[Crew, list[Turn]]:
    return {
        Crew(size): [Turn({name: [value] for name, value in samples.items()})] for size in sizes
    }


def by_figure(rows: list[Row]) -> dict[str, Row]:
    return {row.figure: row for row in rows}


def test_targets_are_those_of_large_fleets() -> None:
    rows = by_figure(rows_of("pgqueue", turns(30, 100, 200, transactions=12.5, burst=90.0)))
    assert rows["transactions of one job beyond idle, 30 workers"].ok is None
    assert rows["transactions of one job beyond idle, 100 workers"].ok is False
    assert rows["1,000 jobs of 10 ms: all begun, 200 workers"].ok is True


def test_targets_are_the_same_for_any_number_of_slots() -> None:
    found = {Crew(100, slots=1): [Turn({"transactions": [12.5]})]}
    row = by_figure(rows_of("pgqueue", found))[
        "transactions of one job beyond idle, 100 workers of 1 slot"
    ]
    assert row.ok is False


def test_ratios_to_four_workers() -> None:
    found = turns(4, callers=1000.0, drain=100.0) | turns(100, callers=950.0, drain=60.0)
    rows = by_figure(rows_of("pgqueue", found, found))
    callers = rows["single enqueues of 5 callers, 100 workers / 4"]
    drain = rows["drain, one commit, 100 workers / 4"]
    assert (callers.value, callers.ok) == (0.95, True)
    assert (drain.value, drain.ok) == (0.6, False)
    alone = turns(100, callers=1.0)
    assert not [row for row in rows_of("pgqueue", alone, alone) if row.unit == "x"]


def test_ratio_is_of_neighbours() -> None:
    """The machine becomes ten times slower, and the ratio stays."""
    slower = (1000.0, 300.0, 100.0)
    rates = {
        Crew(4, slots=1): [Turn({"callers": [one]}) for one in slower],
        Crew(8, slots=1): [Turn({"callers": [0.8 * one]}) for one in slower],
    }
    rows = by_figure(rows_of("pgqueue", {}, rates))
    ratio = rows["single enqueues of 5 callers, 8 workers of 1 slot / 4"]
    assert ratio.samples == (0.8, 0.8, 0.8)


def test_a_turn_that_failed_has_no_ratio() -> None:
    rates = {
        Crew(4): [Turn({"callers": [10.0]}), Turn({"callers": [10.0]})],
        Crew(30): [Turn({"callers": [5.0], "drain": [1.0]}), Turn()],
    }
    (ratio,) = rows_of("pgqueue", {}, rates)
    assert ratio.samples == (0.5,)


def test_several_samples_are_shown_by_their_range() -> None:
    found = {Crew(4): [Turn({"callers": [900.0, 1200.0]}, {"callers": "two"})]}
    rates = {Crew(4): [Turn({"callers": [1500.0]})]}
    (row,) = rows_of("pgqueue", found, rates)
    assert (row.value, row.note) == (1200.0, "3 samples, 900 to 1,500; two")
    assert rows_of("pgqueue", turns(4, callers=1.0))[0].note == ""


def test_a_polling_fleet_has_no_transactions_of_one_job() -> None:
    turn = Turn({"transactions": [-3.0], "idle_server": [9.0]})
    rows = by_figure(rows_of("pgqueue", {Crew(100, pooled=True): [turn]}))
    assert list(rows) == ["idle, server CPU, 100 workers, PgBouncer"]
    assert rows["idle, server CPU, 100 workers, PgBouncer"].ok is False


def test_peers_have_no_targets() -> None:
    rows = rows_of("pg-boss", turns(4, 100, 200, callers=1.0, drain=1.0, transactions=90.0))
    assert rows
    assert {row.target for row in rows} == {None}
