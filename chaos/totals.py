"""One table over the parts of a campaign, and the report of it."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

import pgqueue
from chaos.arenas.ground import newest
from chaos.campaign import Part
from chaos.faults import IMPOSSIBLE
from tests.harness.machine import describe
from tests.harness.tables import columns, markdown

__all__ = ["report", "table"]

_SUMS = (
    "attempts", "acknowledged", "refused", "unknown", "recovered", "ok", "cancelled", "dead",
    "starts", "lost", "forgotten", "unexpected", "duplicated", "needless_duplicates",
    "fence_breaks", "stuck", "innocent_dead", "leases_lost", "leaks", "faults", "faults_missed",
)  # fmt: skip
_WORST = ("median_recovery_s", "p99_recovery_s", "max_recovery_s", "max_wake_s")


def rows(parts: Sequence[Part]) -> list[tuple[str, ...]]:
    """A row for each figure: its name, the whole, and each part."""
    made: list[tuple[str, ...]] = [("", "all", *(part.name for part in parts))]
    for name in (*_SUMS, *_WORST):
        each = [part.verdict.figures[name] for part in parts]
        whole = sum(each) if name in _SUMS else max(each)
        made.append((name, str(whole), *map(str, each)))
    violated = [sum(part.verdict.violations.values()) for part in parts]
    made.append(("violations", str(sum(violated)), *map(str, violated)))
    made.append(("seconds", *(f"{s:.0f}" for s in (sum(p.seconds for p in parts),
                                                   *(p.seconds for p in parts)))))  # fmt: skip
    return made


def table(parts: Sequence[Part]) -> str:
    """The totals in Jepsen's words; times are the worst of any part."""
    text = columns(rows(parts), right=range(2 + len(parts)))
    for part in parts:
        for invariant, samples in part.verdict.samples.items():
            text += [
                f"{part.name}: {invariant} violated {part.verdict.violations[invariant]} times:"
            ]
            text += [f"    {sample}" for sample in samples[:4]]
    return "\n".join(text)


def report(parts: Sequence[Part], seed: int, directory: Path) -> None:
    """Write ``campaign.md`` and ``campaign.json``."""
    directory.mkdir(parents=True, exist_ok=True)
    struck = sum((part.faults for part in parts), Counter[str]())
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seed": str(seed),
        "machine": describe(),
        "versions": f"pgqueue {pgqueue.__version__}, PostgreSQL {newest()},"
        f" Python {platform.python_version()}, asyncpg {asyncpg.__version__}",
    }
    head, *body = rows(parts)
    text = ["# Fault campaign", ""]
    text += [f"- {name}: {value}" for name, value in facts.items()]
    text += ["", *markdown(head, body, right=range(1, len(head)))]
    text += ["", "Times are the worst of any part.", ""]
    for part in parts:
        text += [
            f"- {part.name}: {invariant} violated: {sample}"
            for invariant, samples in part.verdict.samples.items()
            for sample in samples
        ]
    faults = [(name, str(count)) for name, count in sorted(struck.items())]
    text += ["## Faults", "", *markdown(("fault", "struck"), faults, right=(1,))]
    text += ["", "What this machine cannot inject:", ""]
    text += [f"- {name}: {why}" for name, why in IMPOSSIBLE.items()]
    (directory / "campaign.md").write_text("\n".join(text) + "\n")
    document = {
        **facts,
        "ok": all(part.verdict.ok for part in parts),
        "faults": dict(sorted(struck.items())),
        "parts": {
            part.name: {
                "seconds": part.seconds,
                "figures": part.verdict.figures,
                "violations": part.verdict.violations,
                "samples": part.verdict.samples,
                "faults": dict(sorted(part.faults.items())),
            }
            for part in parts
        },
    }
    (directory / "campaign.json").write_text(json.dumps(document, indent=1) + "\n")
