"""A host that stands still, one that vanishes, and one that is killed behind PgBouncer."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

from chaos.arenas.ground import BASE
from chaos.figures.host import Host
from chaos.figures.place import Bench, Place
from chaos.figures.row import Row, most
from tests.harness.pgbouncer import bouncer
from tests.harness.servers import own_server
from tests.harness.waiting import wait_until

__all__ = ["frozen", "pooled", "vanished"]

_JOBS = 10
_SECONDS = 40.0
_NETWORK = "10.213.77"
_TARGET = 20.0


def _taken_over(place: Place, hit: list[int], at: float) -> float:
    again = place.until_begun(hit, since=at, timeout_s=_SECONDS)
    return max(event.at for event in again.values()) - at


def frozen(bench: Bench) -> list[Row]:
    """Stop all processes of a host, and let them go on when others have its jobs."""
    with bench.place("frozen") as place, place.host() as survivor, place.host() as victim:
        survivor.until_ready()
        victim.until_ready()
        gate, hit, jobs = place.held_by(victim, _JOBS)
        place.drift()
        at = victim.freeze()
        seconds = _taken_over(place, hit, at)
        victim.thaw()
        wait_until(lambda: "lease was lost" in victim.log(), what="the zombie knows")
        place.open(gate)
        states = place.until_finished(jobs)
        attempts = place.rows("select id, attempt from pgqueue.jobs where id = any (%s)", hit)
        wrong = [j for j, s in states.items() if s != "completed"]
        wrong += [j for j, attempt in attempts if attempt != 2]
    return [
        most("host frozen: its jobs start elsewhere after", [seconds], "s", _TARGET),
        Row(
            figure="host frozen, then going on: jobs that it spoilt",
            value=len(wrong),
            unit="jobs",
            target=0,
        ),
    ]


def pooled(bench: Bench) -> list[Row]:
    """Through PgBouncer in transaction mode nobody sees sessions end: the lease alone tells."""
    figure = "through PgBouncer, host killed: its jobs start elsewhere after"
    with bench.place("pooled") as place, bouncer(place.dsn) as dsn:
        options = {"dsn": dsn, "env": {"PGQUEUE_FIGURES_POOLED": "1"}}
        with place.host(**options) as survivor, place.host(**options) as victim:
            survivor.until_ready()
            victim.until_ready()
            gate, hit, jobs = place.held_by(victim, _JOBS)
            place.drift()
            at = victim.kill()
            seconds = _taken_over(place, hit, at)
            place.open(gate)
            place.until_finished(jobs)
    return [most(figure, [seconds], "s", _TARGET)]


def vanished(bench: Bench) -> list[Row]:
    """Pull a host's cable, then its plug: nothing that it says any more gets out."""
    figure = "host vanished (network namespace): its jobs start elsewhere after"
    with contextlib.ExitStack() as stack:
        try:
            name = stack.enter_context(_namespace())
        except (OSError, subprocess.CalledProcessError) as exc:
            why = getattr(exc, "stderr", "") or str(exc)
            return [
                Row(figure=figure, value=None, unit="s", target=_TARGET, note=why, skipped=True)
            ]
        server = stack.enter_context(
            own_server(
                bench.server.major,
                settings={**BASE, "listen_addresses": f"{_NETWORK}.1"},
            )
        )
        assert server.cluster is not None
        with (server.cluster.data_dir / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {_NETWORK}.0/30 trust\n")
        place = stack.enter_context(bench.place("vanished", server))
        place.rows("select pg_reload_conf()")
        survivor = stack.enter_context(place.host())
        far = f"postgresql://postgres@{_NETWORK}.1:5432/{place.database}"
        victim = stack.enter_context(Host(place, dsn=far, prefix=("ip", "netns", "exec", name)))
        survivor.until_ready()
        victim.until_ready()
        gate, hit, jobs = place.held_by(victim, _JOBS)
        place.drift()
        _ip("-n", name, "link", "set", "inside", "down")
        at = victim.kill()
        seconds = _taken_over(place, hit, at)
        place.open(gate)
        place.until_finished(jobs)
    return [most(figure, [seconds], "s", _TARGET)]


@contextmanager
def _namespace() -> Generator[str]:
    """A network namespace with a cable to this one."""
    if os.geteuid() != 0:
        raise PermissionError("a network namespace needs root")
    name, outside = f"pgqueue-{os.getpid()}", f"pgq{os.getpid() % 10**9}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", outside, "type", "veth", "peer", "name", "inside", "netns", name)
        _ip("addr", "add", f"{_NETWORK}.1/30", "dev", outside)
        _ip("link", "set", outside, "up")
        _ip("-n", name, "addr", "add", f"{_NETWORK}.2/30", "dev", "inside")
        _ip("-n", name, "link", "set", "inside", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        _ip("netns", "del", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
