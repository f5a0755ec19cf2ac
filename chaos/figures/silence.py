"""A connection that is open and silent: all that is sent is acknowledged, nothing is answered."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import psycopg

from chaos.faults.cutting import CuttingProxy, Link
from chaos.figures.place import Bench, Place
from chaos.figures.row import Row
from tests.harness.waiting import wait_until

__all__ = ["silence"]

ROLES = {
    "claim and listen": ("claim",),
    "finish": ("finish",),
    "heartbeat": ("heartbeat",),
    "duties": ("duties",),
    "pool": ("client", "task"),
    "all": ("claim", "finish", "heartbeat", "duties", "client", "task"),
}
_EVERY = 0.2
_BEFORE, _WATCH, _AFTER = 4.0, 25.0, 5.0
_TARGET = 15.0
_START, _END, _HEARTBEAT = 0.5, 2.0, 3.0
_LEAST_MS = 20.0


@dataclass(slots=True)
class Probe:
    """A job that uses all connections of its worker, and how fresh the heartbeat was meanwhile."""

    at: float
    job: int
    heartbeat: float


def silence(bench: Bench) -> list[Row]:
    """One worker process for each role, all at the same time."""
    names = list(ROLES) if not bench.quick else ["claim and listen", "all"]
    with ThreadPoolExecutor(len(names)) as threads:
        rows = threads.map(lambda name: _silence(bench, name, ROLES[name]), names)
        return [row for pair in rows for row in pair]


def _silence(bench: Bench, name: str, roles: tuple[str, ...]) -> list[Row]:
    with bench.place("silence") as place:
        proxy = CuttingProxy(place.dsn)
        try:
            with place.host(processes=1, dsn=proxy.dsn) as host:
                host.until_ready()
                return _measure(place, proxy, name, roles)
        finally:
            proxy.heal()
            proxy.close()


def _measure(place: Place, proxy: CuttingProxy, name: str, roles: tuple[str, ...]) -> list[Row]:
    def chosen(link: Link) -> bool:
        return link.role in roles

    wait_until(lambda: "heartbeat" in proxy.roles(), what="the worker has a heartbeat")
    probes = _probe(place, _BEFORE)
    place.until_finished([probe.job for probe in probes])
    usual = _wakes(place, probes)
    place.drift()
    at = time.monotonic()
    hushed = proxy.silence(chosen)
    try:
        probes = _probe(place, _WATCH)
    finally:
        proxy.resume(chosen)
    healthy = _healthy(place, probes, at, roles)
    last = probes[-1].at - _AFTER
    after = _wakes(place, [probe for probe in probes if probe.at > last])
    bound = max(2 * median(usual), _LEAST_MS)
    figure = f"silent connection, {name}"
    late = healthy is None
    return [
        Row(
            figure=f"{figure}: healthy again after",
            value=healthy,
            unit="s",
            target=_TARGET,
            note=f"{hushed} silent" + (f"; not within {_WATCH - _AFTER:g} s" if late else ""),
        ),
        Row(
            figure=f"{figure}: wake-up afterwards, median",
            value=median(after) if after else None,
            unit="ms",
            target=bound,
            note=f"{median(usual):.1f} ms before; at most twice that, or {_LEAST_MS:g}",
        ),
    ]


def _probe(place: Place, seconds: float) -> list[Probe]:
    """Enqueue a probe again and again, past the proxy."""
    heartbeat = (
        "select extract(epoch from clock_timestamp() - max(heartbeat_at)) from pgqueue.worker"
    )
    probes: list[Probe] = []
    end = time.monotonic() + seconds
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        while (at := time.monotonic()) < end:
            job = place.enqueue("relay")
            row = connection.execute(heartbeat.encode()).fetchone()
            probes.append(Probe(at, job, float(row[0]) if row and row[0] is not None else 99.0))
            time.sleep(max(0.0, at + _EVERY - time.monotonic()))
    return probes


def _wakes(place: Place, probes: list[Probe]) -> list[float]:
    """From just before each enqueue to the start of the job, in milliseconds."""
    begins = place.trace.begins(probe.job for probe in probes)
    return [1000 * (begins[p.job][0].at - p.at) for p in probes if begins[p.job]]


def _healthy(place: Place, probes: list[Probe], at: float, roles: tuple[str, ...]) -> float | None:
    """When all that went ill was over, and all went well from then on; None if that is late."""
    jobs = [probe.job for probe in probes]
    # What was enqueued last has had no time yet.
    place.until_finished(jobs, timeout_s=60.0)
    begins = place.trace.begins(jobs)
    offset = time.time() - time.monotonic()
    ends = {
        job: float(end) - offset
        for job, end in place.rows(
            "select id, extract(epoch from finished_at) from pgqueue.jobs where id = any (%s)", jobs
        )
    }

    def well(probe: Probe) -> bool:
        begun = begins[probe.job][0].at - probe.at
        return begun < _START and ends[probe.job] - probe.at < _END and probe.heartbeat < _HEARTBEAT

    ills = [probe for probe in probes if not well(probe)]
    healed = max([at, *(probe.at for probe in ills), *(ends[probe.job] for probe in ills)])
    healed = max(healed, *(_renewed(place, role, offset, at) for role in roles))
    return healed - at if healed <= probes[-1].at - _AFTER else None


def _renewed(place: Place, role: str, offset: float, at: float) -> float:
    """When the connection of this role was made that is there now; some need not be there."""
    query = (
        "select max(extract(epoch from backend_start)) from pg_stat_activity"
        " where datname = current_database() and application_name = %s"
    )
    newest = place.rows(query, f"pgqueue {role}")[0][0]
    if newest is None:
        return at if role in ("client", "task", "duties") else float("inf")
    made = float(newest) - offset
    return made if made > at else float("inf")
