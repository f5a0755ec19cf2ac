"""A supervisor and its processes: crashes, restarts, replacements, and what becomes of the jobs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from signal import SIGHUP, SIGKILL, SIGTERM

import psutil
import psycopg
import pytest

from tests.e2e.service import Queue, Service
from tests.harness.proxy import Proxy
from tests.harness.servers import with_database
from tests.harness.waiting import wait_until

TWO = ("--processes", "2")


def end(service: Service) -> None:
    service.send(SIGTERM)
    assert service.wait() == 0
    assert service.left() == []
    assert service.queue.workers() == []


# -- crashes


def test_jobs_of_a_killed_process_run_elsewhere_at_once(queue: Queue) -> None:
    jobs = [queue.enqueue("gated") for _ in range(10)]
    # Nothing but the supervisor can be that quick: a lease is ten minutes, a heartbeat three.
    with Service(queue, *TWO, "--lease", "600", "--heartbeat", "180") as service:
        service.until_started()
        first = queue.until_begun(*jobs)
        victim = next(iter(first.values()))
        hit = [job for job, pid in first.items() if pid == victim]
        psutil.Process(victim).kill()
        wait_until(
            lambda: set(hit) <= {job for job, pid in queue.trace("begin") if pid != victim},
            what="the jobs of the killed process run again",
        )
        service.until_logged("was killed by SIGKILL")
        wait_until(lambda: len(set(queue.workers()) - {victim}) == 2, what="it is restarted")
        queue.open()
        queue.until_state("completed", *jobs)
        for job in jobs:
            row = queue.job(job)
            assert row["crash_count"] == (job in hit)
            assert row["attempt"] == 1 + (job in hit)
        assert queue.job(hit[0])["errors"][0]["type"] == "WorkerLost"
        end(service)


def test_a_process_that_is_killed_in_its_stop_has_not_crashed(queue: Queue) -> None:
    jobs = [queue.enqueue("gated") for _ in range(4)]
    before = queue.positions()
    with Service(queue, *TWO, "--grace", "600") as service:
        queue.until_begun(*jobs)
        service.until_started()
        service.send(SIGTERM)
        service.until_logged("stopping when running jobs are done")
        for process in service.children():
            process.kill()
        assert service.wait(60) == 1
    assert queue.positions() == before
    assert {queue.job(job)["crash_count"] for job in jobs} == {0}
    assert queue.workers() == []


@pytest.mark.fault("F35")
def test_nothing_is_blamed_that_had_not_begun(queue: Queue) -> None:
    before = queue.enqueue_many("quick", 1000)  # so that claims are of many when it comes
    killer = queue.enqueue("die", code=3)
    others = [*before, *queue.enqueue_many("quick", 1000)]
    with Service(queue, *TWO, "--concurrency", "1") as service:
        queue.until_state("dead", killer)
        wait_until(lambda: queue.states() == {"dead": 1, "completed": len(others)})
        blamed = "select id, crash_count from pgqueue.jobs where crash_count > 0"
        assert queue.rows(blamed) == [(killer, 3)]
        service.until_logged("(quick) of lost worker")
        end(service)


@pytest.mark.parametrize("code", [3, 2, 0])
def test_a_job_that_kills_its_process_is_dead_at_the_cap(queue: Queue, code: int) -> None:
    others = [queue.enqueue("quick") for _ in range(10)]
    killer = queue.enqueue("die", code=code)
    others += [queue.enqueue("quick") for _ in range(10)]
    with Service(queue, *TWO) as service:
        queue.until_state("dead", killer)
        queue.until_state("completed", *others)
        row = queue.job(killer)
        assert row["crash_count"] == 3
        assert row["reason"] == "its worker died 3 times while it ran"
        assert [error["type"] for error in row["errors"]] == ["WorkerLost"] * 3
        assert [job for job, _ in queue.trace("begin")].count(killer) == 3
        assert service.runs
        service.until_started()
        end(service)


def test_a_lower_cap_is_kept_to(queue: Queue) -> None:
    killer = queue.enqueue("die")
    with Service(queue, *TWO, "--crash-cap", "1") as service:
        queue.until_state("dead", killer)
        assert queue.job(killer)["crash_count"] == 1
        end(service)


@pytest.mark.parametrize("loop", ["--uvloop", "--no-uvloop"])
@pytest.mark.parametrize("processes", ["1", "2"], ids=["alone", "supervised"])
def test_a_job_that_means_to_end_the_process_fails_alone(
    queue: Queue, loop: str, processes: str
) -> None:
    if loop == "--uvloop":
        pytest.importorskip("uvloop")
    bystander = queue.enqueue("gated")
    tasks = ("leave", "leave_thread", "leave_nested", "interrupt", "cancel")
    jobs = [queue.client.enqueue(task, max_attempts=1).id for task in tasks]
    with Service(queue, "--processes", processes, loop) as service:
        pids = service.until_started()
        queue.until_state("dead", *jobs)
        assert {queue.job(job)["crash_count"] for job in jobs} == {0}
        queue.open()
        queue.until_state("completed", bystander)
        assert queue.job(bystander)["attempt"] == 1
        assert queue.workers() == pids
        end(service)


def test_when_the_supervisor_is_killed_its_processes_stop(queue: Queue) -> None:
    jobs = [queue.enqueue("gated") for _ in range(6)]
    before = queue.positions()
    with Service(queue, *TWO, "--grace", "0.5") as service:
        service.until_started()
        queue.until_begun(*jobs)
        service.send(SIGKILL)
        service.wait()
        wait_until(lambda: service.left() == [], what="all its processes are gone")
    assert queue.workers() == []
    assert queue.positions() == before
    assert queue.states() == {"pending": 6}


@pytest.mark.together
def test_a_process_that_does_not_stop_is_killed_and_its_jobs_released(queue: Queue) -> None:
    jobs = [queue.enqueue("gated") for _ in range(4)]
    slow = ("--lease", "60", "--heartbeat", "20")
    with Service(queue, *TWO, *slow, "--grace", "0", "--deadline", "1") as service:
        service.until_started()
        queue.until_begun(*jobs)
        frozen = queue.until_begun(*jobs)[jobs[0]]
        psutil.Process(frozen).suspend()
        service.send(SIGTERM)
        assert service.wait(90) == 1
        assert service.left() == []
    assert "does not stop; killing it" in service.log()
    assert queue.workers() == []
    assert queue.states() == {"pending": 4}


# -- replacements


def test_recycling_loses_nothing(queue: Queue) -> None:
    jobs = queue.enqueue_many("quick", 60)
    with Service(queue, *TWO, "--max-jobs-per-process", "7", "--concurrency", "3") as service:
        queue.until_state("completed", *jobs)
        end(service)
    runs = [job for job, _ in queue.trace("end")]
    assert sorted(runs) == sorted(jobs)
    done = {pid: [p for _, p in queue.trace("end")].count(pid) for _, pid in queue.trace("end")}
    assert max(done.values()) <= 7
    assert len(done) >= 60 / 7
    assert queue.rows("select max(crash_count), max(attempt) from pgqueue.jobs") == [(0, 1)]


def test_a_long_job_outlives_the_recycling_of_its_process(queue: Queue) -> None:
    with Service(queue, *TWO, "--max-jobs-per-process", "1", "--grace", "0") as service:
        job = queue.enqueue("gated")
        first = queue.until_begun(job)[job]
        later = [queue.enqueue("quick") for _ in range(4)]
        queue.until_state("completed", *later)
        assert psutil.pid_exists(first)
        queue.open()
        queue.until_state("completed", job)
        assert queue.trace("end")[-1] == (job, first)
        assert queue.job(job)["attempt"] == 1
        end(service)


def test_hup_replaces_the_processes_one_by_one(queue: Queue) -> None:
    with Service(queue, *TWO, "--grace", "20") as service:
        before = service.until_started()
        jobs = [queue.enqueue("gated") for _ in range(6)]
        queue.until_begun(*jobs)
        service.send(SIGHUP)
        wait_until(
            lambda: len(set(queue.workers()) - set(before)) == 2,
            what="two new workers are registered",
        )
        queue.open()
        queue.until_state("completed", *jobs)
        wait_until(lambda: not set(before) & set(queue.workers()), what="the old ones are gone")
        assert {queue.job(job)["attempt"] for job in jobs} == {1}
        end(service)


def test_hup_with_broken_code_keeps_the_old_processes(queue: Queue) -> None:
    with Service(queue, *TWO) as service:
        before = service.until_started()
        (queue.home / "jobs.py").write_text("import nothing_of_that_name\n")
        service.send(SIGHUP)
        service.until_logged("keeping the old ones")
        queue.open()
        job = queue.enqueue("gated")
        queue.until_state("completed", job)
        assert queue.workers() == before
        end(service)


# -- starts


def test_a_wrong_target_ends_it_with_one_line(queue: Queue) -> None:
    with Service(queue, *TWO, target="jobs:ap") as service:
        assert service.wait() == 2
        assert len(service.log().splitlines()) == 1
        assert "ap" in service.log()


SUPERVISE = """\
import json, sys
from pgqueue.observe.logs import configure
from pgqueue.supervisor.supervisor import Supervisor
if __name__ == "__main__":
    configure("info")
    sys.exit(Supervisor(**json.loads(sys.argv[1])).run())
"""


def supervise(queue: Queue, options: str) -> subprocess.CompletedProcess[str]:
    """Run a supervisor that has not looked at the app itself, to its end."""
    return subprocess.run(
        [sys.executable, "-c", SUPERVISE, options],
        cwd=queue.home,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_what_only_a_process_finds_wrong_ends_all_without_a_restart(queue: Queue) -> None:
    done = supervise(
        queue,
        json.dumps({"target": "job:app", "settings": {}, "processes": 3, "dsn": queue.dsn}),
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert 'no module "job"; did you mean "jobs"?' in done.stderr


def test_a_missing_schema_ends_it(queue: Queue) -> None:
    with psycopg.connect(queue.dsn, autocommit=True) as connection:
        connection.execute("drop schema pgqueue cascade")
    with Service(queue, *TWO) as service:
        assert service.wait() == 2
        assert "pgqueue migrate" in service.log()


def test_a_connection_that_is_refused_for_good_ends_it_at_once(queue: Queue) -> None:
    """Each process would be refused alike: here the database does not exist."""
    with Service(queue, *TWO, PGQUEUE_DSN=with_database(queue.dsn, "no_such")) as service:
        assert service.wait(60) == 1
        log = service.log()
    assert 'database "no_such" does not exist' in log
    assert log.count("ended with exit code") <= 2
    assert "Traceback" not in log


SLOW = """\
import time
from pathlib import Path
from jobs import app
Path("old").touch()
while not Path("go").exists():
    time.sleep(0.01)
"""
NEW = "import os\nfrom jobs import app\nopen(f'new-{os.getpid()}', 'w').close()\n"


def test_hup_replaces_processes_that_are_starting_with_the_old_code(queue: Queue) -> None:
    (queue.home / "slow.py").write_text(SLOW)
    options = json.dumps({"target": "slow:app", "settings": {}, "processes": 2, "dsn": queue.dsn})
    log = queue.home / "supervisor.log"
    with (
        log.open("w") as said,
        subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, options], cwd=queue.home, stdout=said, stderr=said
        ) as process,
    ):
        try:
            wait_until((queue.home / "old").exists, what="the old code is being imported")
            (queue.home / "slow.py").write_text(NEW)
            process.send_signal(SIGHUP)
            wait_until(lambda: "replacing" in log.read_text(), what="the signal is heard")
            (queue.home / "go").touch()
            new = lambda: len(list(queue.home.glob("new-*"))) >= 2  # noqa: E731
            wait_until(new, what="both run the new code")
        finally:
            process.send_signal(SIGTERM)
            process.wait(60)
    assert process.returncode == 0


def test_a_stop_is_heard_while_nothing_can_start(queue: Queue) -> None:
    (queue.home / "slow.py").write_text(
        "import threading\nfrom jobs import app\nopen('importing', 'w').close()\n"
        "threading.Event().wait(60)\n"
    )
    options = json.dumps({"target": "slow:app", "settings": {}, "processes": 2, "dsn": queue.dsn})
    with subprocess.Popen([sys.executable, "-c", SUPERVISE, options], cwd=queue.home) as process:
        wait_until((queue.home / "importing").exists, what="the app is being imported")
        process.send_signal(SIGTERM)
        assert process.wait(60) == 0  # the import would go on for a minute


def test_no_secret_shows_in_the_list_of_processes(queue: Queue) -> None:
    with Service(queue, *TWO) as service:
        service.until_started()
        for process in [psutil.Process(service.pid), *service.children()]:
            assert not any("postgresql" in word for word in process.cmdline())
        end(service)


def test_56_the_handlers_that_were_there_are_put_back(queue: Queue) -> None:
    code = f"""
import os, signal, threading
from pgqueue.supervisor.supervisor import Supervisor
numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
def mine(number, frame): ...
for number in numbers:
    signal.signal(number, mine)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
before = [signal.getsignal(number) for number in numbers]
class Watched(Supervisor):
    def _on_message(self, process, message):
        super()._on_message(process, message)
        if message["event"] == "started":
            os.kill(os.getpid(), signal.SIGTERM)
supervisor = Watched("jobs:app", settings={{}}, processes=1, dsn={queue.dsn!r}, log_level="error")
assert supervisor.run() == 0
assert [signal.getsignal(number) for number in numbers] == before
assert signal.set_wakeup_fd(-1) == -1
assert threading.active_count() == 1
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=queue.home, capture_output=True, text=True, timeout=30
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_supervisor_idles(queue: Queue) -> None:
    with Service(queue, *TWO) as service:
        service.until_started()
        me = psutil.Process(service.pid)
        before = me.cpu_times()
        job = queue.enqueue("quick")
        queue.until_state("completed", job)
        done_at = time.monotonic()
        wait_until(lambda: time.monotonic() > done_at + 2, what="two seconds have passed")
        after = me.cpu_times()
        assert (after.user + after.system) - (before.user + before.system) < 0.5, "it spins"
        assert me.num_threads() == 1
        end(service)


def test_jobs_are_released_when_the_database_returns(queue: Queue, proxy: Proxy) -> None:
    job = queue.enqueue("gated")
    with Service(
        queue, *TWO, "--lease", "120", "--heartbeat", "40", PGQUEUE_DSN=proxy.dsn
    ) as service:
        service.until_started()
        victim = queue.until_begun(job)[job]
        proxy.refuse()
        proxy.cut()
        psutil.Process(victim).send_signal(signal.SIGKILL)
        service.until_logged(f"releasing the jobs of process {victim} has to wait")
        proxy.heal()
        wait_until(
            lambda: any(j == job and pid != victim for j, pid in queue.trace("begin")),
            what="the job runs again",
        )
        queue.open()
        queue.until_state("completed", job)
        assert queue.job(job)["crash_count"] == 1
        # Who lost the answer to a claim may leave its row for others to look after.
        service.send(SIGTERM)
        assert service.wait() == 0


# -- several servers


def test_jobs_of_two_servers_run_again_at_once_when_their_processes_are_killed(
    queue: Queue, other_dsn: str
) -> None:
    with Queue(other_dsn, queue.home) as other:
        other.rows("select setval('pgqueue.job_id_seq', 1000)")
        jobs = [queue.enqueue("gated") for _ in range(4)]
        others = [other.enqueue("gated") for _ in range(4)]
        where = ("--dsn", queue.dsn, "--dsn", other_dsn)
        how = ("--lease", "600", "--heartbeat", "180", "--concurrency", "10", "--until-idle")
        with Service(queue, *TWO, *where, *how) as service:
            first = queue.until_begun(*jobs, *others)
            victims = set(first.values())
            for victim in victims:
                psutil.Process(victim).kill()
            wait_until(
                lambda: (
                    set(first) == {job for job, pid in queue.trace("begin") if pid not in victims}
                ),
                what="the jobs of both servers run again",
            )
            queue.open()
            queue.until_state("completed", *jobs)
            other.until_state("completed", *others)
            for at, some in ((queue, jobs), (other, others)):
                assert {at.job(job)["crash_count"] for job in some} == {1}
            assert service.wait() == 0  # each server is idle
            assert queue.workers() == other.workers() == []
