"""What the checker found: violations, each with its invariant, and counts."""

from __future__ import annotations

from collections import Counter

__all__ = ["Findings"]

_KEPT = 8


class Findings:
    """Counts of everything, and the first few violations of each invariant in words."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self.samples: dict[str, list[str]] = {}
        self.recoveries: list[float] = []
        self.slowest = ""
        self.max_wake = 0.0
        self.max_fire = 0.0

    def violate(self, invariant: str, text: str, *, count: str | None = None) -> None:
        """Note a violation; ``count`` names the line of the table that it belongs to."""
        self.violations[invariant] += 1
        if count:
            self.counts[count] += 1
        samples = self.samples.setdefault(invariant, [])
        if len(samples) < _KEPT:
            samples.append(text)

    def recovered_after(self, seconds: float, what: str) -> None:
        """Note how long a run that was cut short waited for the next one."""
        if seconds > max(self.recoveries, default=0.0):
            self.slowest = what
        self.recoveries.append(seconds)

    def recovery(self, share: float) -> float:
        """The time within which that share of them had begun anew."""
        times = sorted(self.recoveries)
        return times[min(int(share * len(times)), len(times) - 1)] if times else 0.0

    @property
    def ok(self) -> bool:
        return not self.violations
