"""The catalogue of faults: name -> a maker of it. What is not in it, impossible.py explains."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chaos.arena import Fault
from chaos.faults.clocks import WorkerClock
from chaos.faults.commits import LoseAnswer, UnsureStandby
from chaos.faults.connections import FreezeBackend, Full, Herd, TerminateRole
from chaos.faults.impossible import IMPOSSIBLE
from chaos.faults.limits import NoFiles
from chaos.faults.locks import Deadlocks, HeldSnapshot, LockTable, Rewrite
from chaos.faults.network import Blackhole, Deaf, Narrow, Reset, Silence, Slow, Stall
from chaos.faults.notify import Flood, StuckListener
from chaos.faults.packets import DropPackets
from chaos.faults.processes import (
    Freeze,
    KillAll,
    KillChild,
    KillSupervisor,
    LoseHost,
    Replace,
    Stop,
)
from chaos.faults.rows import StrayClaim, Unreadable
from chaos.faults.schema import Migrators, Pruning
from chaos.faults.server import CrashBackend, Outage, Restart
from chaos.faults.settings import ReadOnly, RoleDefaults
from chaos.faults.twins import Twins

__all__ = ["ALL", "IMPOSSIBLE"]

_TINY = {"statement_timeout": "'5ms'", "lock_timeout": "'1ms'"}
_STRICT = {"default_transaction_isolation": "serializable", "timezone": "'America/Bogota'"}
_EACH = ("claim", "finish", "heartbeat", "duties")

_MAKERS: list[Callable[[], Fault]] = [
    KillChild,
    KillSupervisor,
    KillAll,
    LoseHost,
    *(partial(Stop, how) for how in ("term", "force", "kill")),
    Replace,
    Restart,
    Outage,
    CrashBackend,
    *(partial(TerminateRole, role) for role in (*_EACH, "client", "all")),
    Reset,
    Blackhole,
    *(partial(Silence, role) for role in _EACH),
    partial(Silence, "heartbeat", new=True),
    *(partial(FreezeBackend, role) for role in ("claim", "finish", "heartbeat")),
    DropPackets,
    Slow,
    Stall,
    Narrow,
    partial(Full, ends=False),
    *(
        partial(LoseAnswer, what, carried_out=carried_out)
        for what in ("enqueue", "commit", "completion", "claim", "heartbeat")
        for carried_out in (True, False)
    ),
    UnsureStandby,
    ReadOnly,
    partial(Full, ends=True),
    partial(RoleDefaults, "tiny-timeouts", "F22", _TINY),
    partial(RoleDefaults, "serializable", "F23", _STRICT),
    Deadlocks,
    LockTable,
    partial(Rewrite, "vacuum-full"),
    partial(Rewrite, "create-index"),
    partial(HeldSnapshot, writes=False),
    partial(HeldSnapshot, writes=True),
    WorkerClock,
    partial(Freeze, 0.3, 0.8),
    partial(Freeze, 1.2, 2.0),
    Twins,
    Migrators,
    Flood,
    StuckListener,
    partial(Deaf, 0),
    partial(Deaf, 2),
    Pruning,
    Herd,
    StrayClaim,
    Unreadable,
    NoFiles,
]

ALL: dict[str, Callable[[], Fault]] = {maker().name: maker for maker in _MAKERS}
