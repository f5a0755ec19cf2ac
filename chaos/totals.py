"""One table over the parts of a campaign, and the report of it."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import psutil

import pgqueue
from chaos.arenas.ground import newest
from chaos.campaign import Part
from chaos.faults import IMPOSSIBLE

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
    lines = rows(parts)
    widths = [max(len(row[n]) for row in lines) for n in range(len(lines[0]))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in lines]  # fmt: skip
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
        "machine": f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB,"
        f" {platform.system()} {platform.release()}",
        "versions": f"pgqueue {pgqueue.__version__}, PostgreSQL {newest()},"
        f" Python {platform.python_version()}, asyncpg {asyncpg.__version__}",
    }
    head, *body = rows(parts)
    text = ["# Fault campaign", ""]
    text += [f"- {name}: {value}" for name, value in facts.items()]
    text += ["", _line(head), _line(["---", *["---:"] * (len(head) - 1)]), *map(_line, body)]
    text += ["", "Times are the worst of any part.", ""]
    for part in parts:
        text += [
            f"- {part.name}: {invariant} violated: {sample}"
            for invariant, samples in part.verdict.samples.items()
            for sample in samples
        ]
    text += ["## Faults", "", "| fault | struck |", "|---|---:|"]
    text += [f"| {name} | {count} |" for name, count in sorted(struck.items())]
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


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
