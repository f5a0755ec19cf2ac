"""What a run consists of: how long, how much load, which processes with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.kinds import RARE, SHARES

__all__ = ["Setup"]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a run consists of."""

    seconds: float
    seed: int
    jobs: int | None = None
    supervisors: int = 2
    processes: int = 2
    concurrency: int = 50
    producers: Sequence[str] = ("sync", "async", "tx", "bulk")
    programs: Sequence[str] = ("canceller", "operator_", "scheduler", "limiter")
    pause: float = 0.005
    bulk: int = 400
    nap: float = 2.0
    backlog: int = 3000
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    rare: Mapping[str, float] = field(default_factory=lambda: dict(RARE))
    settings: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    ordered: bool = False
    calm_seconds: float = 5.0
    settle: float = 6.0
    drain: float = 300.0
    look: float = 2.2
    mutant: str | None = None
