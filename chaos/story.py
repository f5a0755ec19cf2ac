"""All that is known of one job: who asked for it, its versions, its runs, and what they wrote."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Effect", "Enqueue", "Run", "Story", "Version"]


@dataclass(slots=True)
class Enqueue:
    """A producer's call, as it saw it. ``y``: ok, fail (nothing was written), info (unknown)."""

    key: int
    kind: str
    y: str
    t0: float
    t1: float | None
    delay: float | None = None
    unique: str | None = None
    duplicate: bool = False


@dataclass(slots=True)
class Version:
    """A line of the audit; ``at`` and ``run_at`` on the clock of the processes."""

    seq: int
    at: float
    xid: int
    op: str
    worker: int | None = None
    token: int | None = None
    position: int | None = None
    attempt: int = 0
    crashes: int = 0
    errors: int = 0
    cancel: bool = False
    run_at: float | None = None
    key: int | None = None
    unique: str | None = None
    task: str | None = None
    state: str | None = None


@dataclass(slots=True)
class Run:
    """An execution, as its process noted it. ``r``: how it ended, None if nobody noted that."""

    token: int
    attempt: int
    kind: str
    t0: float
    t1: float | None
    r: str | None
    process: str


@dataclass(slots=True)
class Effect:
    """A row that the handler wrote in the transaction that completes its job."""

    token: int
    at: float


@dataclass(slots=True)
class Story:
    """A job and all that belongs to it, each list in the order of time."""

    job: int
    enqueues: list[Enqueue] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The task's name."""
        return next((v.task for v in self.versions if v.task), "?")
