"""``pgqueue demo``, run for real, and its check on runs that went wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from pgqueue.demo.fleet import lend_fleet
from pgqueue.demo.ground import lend_ground
from pgqueue.demo.names import AT_ONCE, LARGE, SMALL
from pgqueue.demo.place import Place
from pgqueue.demo.producer import Producer
from pgqueue.demo.report import Report
from pgqueue.demo.run import Plan
from pgqueue.demo.scan import Found, scan
from pgqueue.demo.statements import sql
from pgqueue.demo.tenants import Tenant, check_tenants, split
from pgqueue.demo.verdict import Sample, Verdict, check_run, compare_sample
from pgqueue.embedded import find
from pgqueue.errors import EmbeddedError, PgQueueError
from tests.harness import hostile
from tests.harness.places import open_place
from tests.harness.servers import missing
from tests.harness.waiting import eventually, remaining

FILES = 300
KEYS = {
    "enqueued",
    "completed",
    "retried",
    "dead",
    "rescued",
    "lost",
    "exactly_once",
    "slots",
    "slots_once",
    "most_at_once",
    "above_limit",
    "small_wait_median",
    "small_wait_worst",
    "rescue_seconds",
    "jobs_per_second",
}
_MARK = "PGQUEUE_TEST_DEMO"
_RUN_SECONDS = 240.0
_LEFT_SECONDS = 60.0


class Ground:
    """Where a demo runs as a program of its own, and what it leaves there."""

    def __init__(self, home: Path) -> None:
        self.temporary = home / "tmp"
        self.temporary.mkdir()
        self.temporary.chmod(0o755)
        self.files = home / "files"
        for n in range(FILES):
            file = self.files / f"{n % 7}" / f"{n:03}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"file {n}\n" * n * 10)
        self._mark = uuid.uuid4().hex

    def start(self, *args: str) -> subprocess.Popen[str]:
        env = {**os.environ, "TMPDIR": str(self.temporary), _MARK: self._mark}
        env.pop("PGQUEUE_DSN", None)
        return subprocess.Popen(
            [sys.executable, "-c", "from pgqueue.cli import main; main()", "demo", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )

    def run(self, *args: str) -> tuple[int, str, str]:
        process = self.start(*args)
        out, err = process.communicate(timeout=_RUN_SECONDS)
        return process.returncode, out, err

    def processes(self) -> list[str]:
        """Those of our demos that are still there, and of their servers."""
        found: list[str] = []
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                ours = process.environ().get(_MARK) == self._mark
                alive = process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if alive and (ours or str(self.temporary) in line):
                found.append(f"{process.pid}: {line}")
        return found

    def left(self) -> list[str]:
        return [*map(str, self.temporary.iterdir()), *self.processes()]


@pytest.fixture
def ground() -> Iterator[Ground]:
    with open_place("demo-") as home:
        yield Ground(home)


@pytest.fixture
def wheel() -> None:
    try:
        find()
    except EmbeddedError as exc:
        missing(str(exc))


def judge(out: str) -> None:
    """Assert that this is the one JSON object of a good run."""
    answer = json.loads(out)
    assert set(answer) == KEYS
    assert answer["enqueued"] == FILES
    assert answer["completed"] == FILES - 1
    assert answer["dead"] == 1
    assert answer["retried"] == 2
    assert 1 <= answer["rescued"] < FILES
    assert answer["lost"] == 0
    assert answer["exactly_once"] is True
    assert answer["slots_once"] is True
    assert answer["slots"] >= 1
    assert 1 <= answer["most_at_once"] <= AT_ONCE
    assert answer["above_limit"] == 0
    assert 0 < answer["small_wait_median"] <= answer["small_wait_worst"]
    assert 0 < answer["rescue_seconds"] < 30
    assert answer["jobs_per_second"] > 0


async def schemas(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "select nspname from pg_namespace"
            " where nspname !~ '^(pg_|information_schema)' and nspname <> $1",
            hostile.TRAP,
        )
        return sorted(row["nspname"] for row in rows)
    finally:
        await connection.close()


def test_it_runs_on_an_embedded_server_and_leaves_nothing(ground: Ground, wheel: None) -> None:
    code, out, err = ground.run(str(ground.files), "--json")

    assert code == 0, err
    judge(out)
    assert "killed with SIGKILL" in err
    assert 'schedule "tally" fired: ' in err
    assert f"{FILES} of {FILES} files; large: 0 in line; small: waits " in err
    assert remaining(ground.left, timeout_s=_LEFT_SECONDS) == []


async def test_it_runs_on_a_server_of_ones_own_and_leaves_nothing(
    ground: Ground, empty_dsn: str
) -> None:
    code, out, err = ground.run(str(ground.files), "--json", "--dsn", empty_dsn)

    assert code == 0, err
    judge(out)
    assert await schemas(empty_dsn) == ["public"]
    assert remaining(ground.left, timeout_s=_LEFT_SECONDS) == []


async def test_it_prints_a_table_and_keeps_its_rows_if_told_to(
    ground: Ground, empty_dsn: str
) -> None:
    code, out, err = ground.run(
        str(ground.files), "--max-files", "20", "--keep", "--dsn", empty_dsn
    )

    assert code == 0, err
    words = dict(re.findall(r"^(\w[\w/ ]*?) +([\d.]+|yes|NO|-)(?= )", out, re.MULTILINE))
    assert (words["enqueued"], words["completed"], words["dead"]) == ("20", "19", "1")
    assert (words["lost"], words["doubled"], words["exactly once"]) == ("0", "0", "yes")
    assert (words["above the limit"], 1 <= int(words["most at once"]) <= AT_ONCE) == ("0", True)
    assert float(words["at worst"]) > 0
    assert int(words["rescued"]) >= int(words["started twice"]) >= 1
    assert await schemas(empty_dsn) == ["pgqueue_demo", "pgqueue_demo_queue", "public"]

    code, _, err = ground.run(str(ground.files), "--max-files", "1", "--json", "--dsn", empty_dsn)
    assert code == 0, err
    assert await schemas(empty_dsn) == ["public"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_in_the_middle_leaves_nothing(
    ground: Ground, empty_dsn: str, number: signal.Signals
) -> None:
    process = ground.start(str(ground.files), "--json", "--dsn", empty_dsn)
    assert process.stderr is not None
    for line in process.stderr:
        if "worker processes" in line:
            break
    process.send_signal(number)
    out, _ = process.communicate(timeout=_RUN_SECONDS)

    assert process.returncode == 130
    assert out == ""
    assert await schemas(empty_dsn) == ["public"]
    assert remaining(ground.left, timeout_s=_LEFT_SECONDS) == []


def test_a_killed_demo_leaves_no_process(ground: Ground, wheel: None) -> None:
    process = ground.start(str(ground.files))
    assert process.stderr is not None
    for line in process.stderr:
        if "worker processes" in line:
            break
    process.kill()
    process.communicate(timeout=_RUN_SECONDS)

    assert remaining(ground.processes, timeout_s=_LEFT_SECONDS) == []


def test_it_gives_up_in_time(ground: Ground, empty_dsn: str) -> None:
    code, out, err = ground.run(str(ground.files), "--timeout", "0.01", "--dsn", empty_dsn)

    assert (code, out) == (1, "")
    assert f"of {FILES} files were done after 0.01 s" in err
    assert remaining(ground.left, timeout_s=_LEFT_SECONDS) == []


def test_an_empty_directory_is_an_error(ground: Ground) -> None:
    empty = ground.temporary.parent / "empty"
    empty.mkdir()
    code, _, err = ground.run(str(empty))
    assert code == 1
    assert "no files below" in err


async def test_schemas_of_others_are_left_alone(ground: Ground, empty_dsn: str) -> None:
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("create schema pgqueue_demo; create table pgqueue_demo.precious ()")
    await connection.close()

    with pytest.raises(PgQueueError, match='"pgqueue_demo" was not made by pgqueue demo'):
        async with lend_ground(empty_dsn, keep=False):
            pass
    assert await schemas(empty_dsn) == ["pgqueue_demo", "public"]


async def test_two_demos_do_not_share_a_database(empty_dsn: str) -> None:
    async with lend_ground(empty_dsn, keep=False):
        with pytest.raises(PgQueueError, match="another pgqueue demo is running"):
            async with lend_ground(empty_dsn, keep=False):
                pass
        assert "pgqueue_demo" in await schemas(empty_dsn)


# -- what cannot be read


async def test_a_file_that_is_gone_has_a_result_that_says_so(
    ground: Ground, empty_dsn: str
) -> None:
    paths = [*scan(ground.files, limit=3).paths, str(ground.files / "gone")]
    place = Place(empty_dsn, empty_dsn, ground.temporary / "workers.log")
    async with lend_ground(empty_dsn, keep=False) as connection:
        async with lend_fleet(place):
            await Producer(connection, paths, poison=paths[0]).enqueue()

            async def idle() -> bool:
                row = await connection.fetchrow(sql("measure_progress"))
                assert row is not None
                return not row["busy"]

            await eventually(idle, timeout_s=60.0)
        verdict = await check_run(connection)
        said = await connection.fetchval(
            "select unreadable from pgqueue_demo.result where digest is null"
        )
    assert (verdict.completed, verdict.unreadable, verdict.exactly_once) == (3, 1, True)
    assert said == "No such file or directory"


def test_only_files_that_can_be_rows_are_taken(tmp_path: Path) -> None:
    for name in ("b", "a", "c/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "loop").symlink_to(".")
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff")).write_text("")

    found = scan(tmp_path)

    assert [found.relative(path) for path in found.paths] == ["a", "b", "c/d"]
    assert found.left_out == 3
    assert len(scan(tmp_path, limit=2).paths) == 2


def test_the_default_is_the_standard_library_alone() -> None:
    found = scan()
    assert len(found.paths) > 1000
    assert any(path.endswith("/asyncio/tasks.py") for path in found.paths)
    assert not any("site-packages" in path or "__pycache__" in path for path in found.paths)
    assert Plan().path is None


# -- the check, on runs that went wrong


@pytest.fixture
async def good(empty_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A run of ten files as it should end: made by hand, so that it can be spoiled by hand."""
    async with lend_ground(empty_dsn, keep=False) as connection:
        paths = [f"/file/{n}" for n in range(10)]
        await Producer(connection, paths, poison=paths[0]).enqueue()
        await connection.execute(FINISH)
        yield connection


FINISH = """
insert into pgqueue_demo.killed values (7, 77, clock_timestamp());
insert into pgqueue_demo.held
select id, id = 5 from pgqueue_demo_queue.job where id in (4, 5);
insert into pgqueue_demo.attempt (job_id, file_id, attempt, pid)
select id, (args ->> 'file_id')::bigint, 1, 78 from pgqueue_demo_queue.job;
with gone as (delete from pgqueue_demo_queue.job where id = 1 returning job.*)
insert into pgqueue_demo_queue.dead
    (id, finished_at, run_at, enqueued_at, attempt, max_attempts, priority, crash_count, reason,
     queue, task, args)
select id, now(), run_at, enqueued_at, 3, 3, priority, 0, 'poison', queue, task, args from gone;
with gone as (delete from pgqueue_demo_queue.job returning job.*)
insert into pgqueue_demo_queue.history
    (id, finished_at, run_at, enqueued_at, attempt, max_attempts, priority, crash_count, state,
     queue, task, args)
select id, now(), run_at, enqueued_at, 1 + (id in (4, 5))::integer, max_attempts, priority,
       (id in (4, 5))::integer, 'completed', queue, task, args
from gone;
insert into pgqueue_demo_queue.history
    (id, finished_at, run_at, enqueued_at, attempt, max_attempts, priority, crash_count, state,
     queue, task, args, metadata)
select 100 + n, now(), now(), now(), 1, 1, 5, 0, 'completed', 'upkeep', 'tally', '{}',
       jsonb_build_object('schedule', 'tally',
                          'slot', '2027-01-01T00:00:00Z'::timestamptz + n * '2 s'::interval)
from generate_series(1, 3) as n;
insert into pgqueue_demo.result (file_id, bytes, lines, compressed, digest)
select id, 1, 1, 1, sha256(path::bytea) from pgqueue_demo.file where not poison;
"""


def report(verdict: Verdict, wrong: int = 0, tenant: Tenant | None = None) -> Report:
    tenants = {tenant.tenant: tenant} if tenant else {}
    return Report(Found(Path("/"), [], 0), "", None, verdict, tenants, Sample(9, 0, wrong))


async def test_a_good_run_is_found_good(good: asyncpg.Connection) -> None:
    verdict = await check_run(good)
    assert replace(verdict, rescue_seconds=0.0, seconds=0.0) == Verdict(
        files=10, enqueued=10, completed=9, retried=2, dead=1, rescued=2, lost=0, doubled=0,
        exactly_once=True, held=2, run_again=2, started_twice=1, rescue_seconds=0.0, slots=3,
        slots_once=True, unreadable=0, bytes=9, lines=9, compressed=9, seconds=0.0,
    )  # fmt: skip
    assert verdict.rescue_seconds is not None
    assert report(verdict).ok
    assert not report(verdict, wrong=1).ok


Spoilt = Callable[[Verdict], Any]


@pytest.mark.parametrize(
    ("spoil", "seen"),
    [
        pytest.param(
            "insert into pgqueue_demo.result (file_id, unreadable) values (3, 'again')",
            lambda v: v.doubled == 1 and v.lost == 0,
            id="a result written twice",
        ),
        pytest.param(
            "delete from pgqueue_demo.result where file_id = 3",
            lambda v: v.lost == 1 and v.doubled == 0,
            id="a result missing",
        ),
        pytest.param(
            "update pgqueue_demo.result set file_id = 4 where file_id = 3",
            lambda v: v.lost == 1 and v.doubled == 1,
            id="one missing and another doubled",
        ),
        pytest.param(
            "insert into pgqueue_demo.result (file_id, unreadable) values (1, 'poison')",
            lambda v: v.lost == 0,
            id="a result of the poison",
        ),
        pytest.param(
            "insert into pgqueue_demo.result (file_id, unreadable) values (99, 'whose?')",
            lambda v: v.lost == 0,
            id="a result of no file",
        ),
        pytest.param(
            "delete from pgqueue_demo_queue.dead",
            lambda v: v.lost == 1 and v.dead == 0,
            id="the poison gone without a trace",
        ),
        pytest.param(
            "delete from pgqueue_demo_queue.history where id = 3",
            lambda v: v.enqueued == 9 and v.completed == 8,
            id="a job without a trace, though its result is there",
        ),
        pytest.param(
            "insert into pgqueue_demo_queue.job (task, args) "
            "values ('measure', jsonb_build_object('file_id', 3))",
            lambda v: v.enqueued == 11,
            id="a second job for a file",
        ),
        pytest.param(
            "update pgqueue_demo_queue.history set state = 'cancelled' where id = 3",
            lambda v: v.completed == 8,
            id="a job that was cancelled",
        ),
    ],
)
async def test_a_spoilt_run_is_found_out(
    good: asyncpg.Connection, spoil: str, seen: Spoilt
) -> None:
    await good.execute(spoil)
    verdict = await check_run(good)
    assert seen(verdict), verdict
    assert not verdict.exactly_once
    assert not report(verdict).ok


@pytest.mark.parametrize(
    "spoil",
    [
        "delete from pgqueue_demo_queue.history where id = 102",
        "update pgqueue_demo_queue.history set metadata = (select metadata from"
        " pgqueue_demo_queue.history where id = 101) where id = 102",
    ],
)
async def test_a_slot_without_a_job_or_with_two_is_found_out(
    good: asyncpg.Connection, spoil: str
) -> None:
    await good.execute(spoil)
    verdict = await check_run(good)
    assert (verdict.slots_once, verdict.exactly_once) == (False, True)
    assert not report(verdict).ok


RUNS = """
delete from pgqueue_demo.attempt;
delete from pgqueue_demo.result;
delete from pgqueue_demo.killed;
update pgqueue_demo.file set added_at = '2027-01-01', poison = false,
       tenant = case when id > 8 then 'small' else 'large' end;
delete from pgqueue_demo.held;
insert into pgqueue_demo.killed values (7, 77, '2027-01-01 00:00:03');
insert into pgqueue_demo.held values (1, true), (2, true);
insert into pgqueue_demo.attempt (job_id, file_id, attempt, pid, started_at)
select file, file, attempt, pid, '2027-01-01'::timestamptz + began * '1 s'::interval
from (values {starts}) as given (file, attempt, pid, began);
insert into pgqueue_demo.result (file_id, unreadable, written_at)
select id, '', '2027-01-01 00:00:05' from pgqueue_demo.file;
"""


@pytest.mark.parametrize(
    ("starts", "most", "above"),
    [
        pytest.param("(1, 1, 78, 1), (2, 1, 78, 2)", 2, 0, id="two at once"),
        pytest.param(
            "(3, 1, 77, 1), (3, 2, 77, 2), (1, 1, 77, 2.5)", 2, 0, id="failed, not killed"
        ),
        pytest.param("(1, 1, 78, 1), (2, 1, 78, 5)", 1, 0, id="one after the other"),
        pytest.param("(1, 1, 78, 1), (2, 1, 78, 2), (3, 1, 79, 3)", 3, 1, id="one too many"),
        pytest.param(
            "(1, 1, 77, 1), (2, 1, 78, 2), (1, 2, 78, 4)", 2, 0, id="killed and started again"
        ),
        pytest.param(
            "(1, 1, 77, 1), (2, 1, 78, 1), (3, 1, 78, 3), (1, 2, 78, 5)",
            2,
            0,
            id="another as soon as one is killed",
        ),
        pytest.param(
            "(1, 1, 77, 1), (2, 1, 78, 1), (3, 1, 78, 2), (1, 2, 78, 4)",
            3,
            2,
            id="too many before the kill and after it",
        ),
    ],
)
async def test_jobs_beyond_the_limit_of_a_tenant_are_found_out(
    good: asyncpg.Connection, starts: str, most: int, above: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = await check_run(good)
    await good.execute(RUNS.format(starts=starts))
    monkeypatch.setattr("pgqueue.demo.tenants.AT_ONCE", 2)

    large = (await check_tenants(good))[LARGE]

    assert (large.most_at_once, large.above) == (most, above)
    assert report(verdict, tenant=large).ok == (above == 0)


async def test_waits_of_each_tenant_are_told_apart(good: asyncpg.Connection) -> None:
    starts = "(1, 1, 78, 4), (2, 1, 77, 2), (2, 2, 78, 4.5), (9, 1, 78, 0.1), (10, 1, 78, 0.3)"
    await good.execute(RUNS.format(starts=starts))

    found = await check_tenants(good)

    waits = {name: (found[name].median_wait, found[name].worst_wait) for name in found}
    assert waits == {LARGE: (3.0, 4.0), SMALL: (pytest.approx(0.2), pytest.approx(0.3))}


def test_the_small_tenant_has_a_file_of_fifty() -> None:
    for total, few in ((0, 0), (1, 0), (2, 0), (3, 1), (49, 1), (50, 1), (149, 2), (2450, 49)):
        paths = [f"{n}" for n in range(total)]
        large, small = split(paths)
        assert len(small) == few
        assert sorted(large + small) == sorted(paths)
        assert large[:1] == paths[:1]


async def test_a_held_job_that_never_ran_again_is_found_out(good: asyncpg.Connection) -> None:
    await good.execute("delete from pgqueue_demo.attempt where job_id = 4")
    verdict = await check_run(good)
    assert (verdict.held, verdict.run_again) == (2, 1)
    assert not report(verdict).ok


async def test_a_wrong_digest_is_found_out_and_a_changed_file_is_told_from_it(
    good: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("new")
    await good.execute("delete from pgqueue_demo.result where file_id <> 3")
    await good.execute("update pgqueue_demo.file set path = $1 where id = 3", str(file))
    touched = file.stat().st_mtime

    assert await compare_sample(good, began=touched + 1) == Sample(1, 0, 1)
    assert await compare_sample(good, began=touched) == Sample(1, 1, 0)
    await asyncio.to_thread(file.unlink)
    assert await compare_sample(good, began=touched + 1) == Sample(1, 1, 0)
