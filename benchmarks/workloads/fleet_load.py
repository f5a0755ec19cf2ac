"""What is asked of one fleet that runs, and the figures that it gives."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.bench import Run
from benchmarks.fleet import Fleet
from benchmarks.rows import percentile
from benchmarks.server_log import traced
from benchmarks.systems.base import Failed, call
from benchmarks.watch import Stamp
from benchmarks.window import wait_until_drained
from benchmarks.workloads.fleet_plan import begun_within, drain_rate, last_waits, recovery
from benchmarks.workloads.fleet_start import wait

__all__ = ["DRAIN_SAMPLES", "Load", "Turn"]

_CALLERS = 5
_CALLER_SAMPLES, DRAIN_SAMPLES = 6, 5
_SLOW, _FAST = 20, 500  # jobs a second
_MOST = 100  # enqueues that a stream has under way at once, at the most
_LIMIT_MS = 50.0
_LONGEST = 180.0


@dataclass
class Turn:
    """Samples by figure, and what a reader of the figure may want to know."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, **figures: float) -> None:
        for name, value in figures.items():
            self.samples.setdefault(name, []).append(value)


@dataclass
class Load:
    """What is asked of one fleet."""

    run: Run
    running: Fleet
    found: Turn
    quick: bool

    def span(self, full: float) -> float:
        return min(full, 0.5) if self.quick else full

    def all(self, workers: int, drained: int) -> None:
        """All that leaves the fleet as it was, with so many jobs to drain."""
        self._warm(workers)
        self.callers(_CALLER_SAMPLES)
        self.idle()
        self.slow()
        self.fast()
        self.drain(drained, DRAIN_SAMPLES)
        self.bursts()

    def rates(self, workers: int, drained: int) -> None:
        """What ratios are made of: two samples of each."""
        self._warm(workers)
        self.callers(2)
        self.drain(drained, 2)

    def callers(self, samples: int) -> None:
        for _ in range(1 if self.quick else samples):
            answer, _ = self._press("callers", _CALLERS, self.span(1.5))
            self.found.add(callers=answer["sent"] / answer["seconds"])

    def drain(self, jobs: int, samples: int) -> None:
        for _ in range(1 if self.quick else samples):
            _, stamps = self._press("bursts", "stamp", jobs, 1, 0)
            self.found.add(drain=drain_rate(stamps))

    def bursts(self) -> None:
        """A thousand jobs of 10 ms in one call, thrice: until all have begun."""
        _, stamps = self._press("bursts", "brief", 1000, 3, self.span(2.0))
        for last in last_waits(stamps):
            self.found.add(burst=last)

    def idle(self) -> None:
        """The fleet at rest; then with three jobs a second, which meet it at rest."""
        seconds = self.span(6.0)
        self.run.database.leave()
        time.sleep(4 * self.run.settle)  # after the callers, workers look for more for a while
        workers, server = self.running.cpu, self.run.database.server.cpu
        time.sleep(seconds)
        workers, server = self.running.cpu - workers, self.run.database.server.cpu - server
        with traced(self.run.database) as trace:  # logging costs the server as much again
            trace.begin()
            time.sleep(seconds)
            rest = trace.transactions()
            trace.begin()
            began = time.monotonic()
            answer, _ = self._press("feed", 3, seconds, _MOST, drain=False)
            time.sleep(self.run.settle)
            took = time.monotonic() - began
            work = trace.transactions()
        jobs = answer["sent"] + answer["before"]
        more = {n: (work[n] - rest[n] * took / seconds) / jobs for n in {**work, **rest}}
        self.found.add(
            idle_transactions=sum(rest.values()) / seconds,
            idle_server=100 * server / seconds,
            idle_workers=100 * workers / seconds,
            transactions=sum(more.values()),
        )
        self.found.notes["transactions"] = _most(more, "{:.1f}")
        rates = {name: count / seconds for name, count in rest.items()}
        self.found.notes["idle_transactions"] = _most(rates, "{:.3g}")

    def slow(self) -> None:
        server, workers = self.run.database.server.cpu, self.running.cpu
        began = time.monotonic()
        answer, stamps = self._press("feed", _SLOW, self.span(8.0), _MOST, drain=False)
        took = time.monotonic() - began
        used = self.run.database.server.cpu - server + self.running.cpu - workers
        rest = (
            self.found.samples["idle_server"][-1] + self.found.samples["idle_workers"][-1]
        ) / 100
        waits = [stamp.wait_ms for stamp in stamps]
        self.found.add(
            slow_p50=percentile(waits, 0.5),
            slow_p99=percentile(waits, 0.99),
            slow_cpu=1e3 * (used - rest * took) / max(1, answer["sent"]),
        )
        self._drained()

    def fast(self) -> None:
        seconds = self.span(4.0)
        _, stamps = self._press("feed", _FAST, seconds, _MOST)
        waits = [stamp.wait_ms for stamp in stamps]
        self.found.add(
            fast_done=begun_within(stamps, seconds) / seconds,
            fast_p50=percentile(waits, 0.5),
            fast_p99=percentile(waits, 0.99),
        )

    def restart(self) -> None:
        """Ten jobs a second, beside which the server is restarted."""
        seconds = 30.0
        time.sleep(self.run.settle)
        self.run.database.leave()
        with ThreadPoolExecutor(1) as thread:
            feed = thread.submit(self._press, "feed", 10, seconds, _MOST, exact=False)
            time.sleep(6.0)
            up = self.run.database.server.restart()
            answer, stamps = feed.result()
        after = recovery(stamps, 1e3 * up, _LIMIT_MS)
        self.found.add(recovery=seconds if after is None else after)
        never = "" if after is not None else "not within the stream; "
        self.found.notes["recovery"] = f"{never}{answer['failed']} enqueues failed"

    def _warm(self, workers: int) -> None:
        self._press("bursts", "brief", 10 * workers, 2, 0.2)

    def _press(
        self, role: str, *arguments: object, drain: bool = True, exact: bool = True
    ) -> tuple[dict[str, Any], list[Stamp]]:
        """Run a role of apps/crowd.py; return its answer, and the jobs that it timed.

        ``drain``: wait until they are recorded as finished, too. ``exact``: none may run twice.
        """
        marks = self.run.marks
        before = marks.counts()
        answer = call(self.run.system, self.run.database.dsn, role, *arguments)
        exact = exact and not answer.get("failed")  # what failed may have been enqueued
        wanted = sum(before.values()) + answer["sent"] + answer["before"]
        deadline = time.monotonic() + _LONGEST
        while (begun := marks.stamped()) < wanted:
            wait(self.running, deadline, f"{role}: {begun} of {wanted} jobs have begun")
        if drain:
            self._drained()
        begun = marks.stamped()
        if exact and begun != wanted:
            raise Failed(f"{role}: enqueued {wanted} jobs so far, {begun} ran")
        began_ms = answer["began_us"] // 1000
        return answer, [stamp for stamp in marks.stamps(before) if stamp.enqueued_ms >= began_ms]

    def _drained(self) -> None:
        wait_until_drained(self.run, self.running)
        time.sleep(self.run.settle)


def _most(figures: Mapping[str, float], form: str) -> str:
    """The largest of these, for a note."""
    largest = Counter(figures).most_common(5)
    return ", ".join(f"{name} {form.format(value)}" for name, value in largest)
