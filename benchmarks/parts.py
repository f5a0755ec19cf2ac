"""Which part of a job's road a sampled stack is in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["PARTS", "read_stacks"]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A frame of one of these files, and of one of these functions if any are named."""

    part: str
    files: tuple[str, ...]
    functions: frozenset[str] = frozenset()

    def fits(self, function: str, file: str) -> bool:
        return any(f in file for f in self.files) and (
            not self.functions or function in self.functions
        )


LOOP = "loop and socket"
DECODE = "decode of claimed rows"
REST = "rest"

# From the innermost frame outwards, the first that fits one of these says where a sample is.
_RULES = (
    _Rule("heartbeat thread", ("worker/fleet/side_loop.py",)),
    _Rule("call of the task", ("apps/use_pgqueue.py", "apps/common.py")),
    _Rule("argument conversion", ("pgqueue/payload/",)),
    _Rule("outcome", ("worker/finish/completer.py",), frozenset({"done", "add"})),
    _Rule("completion", ("worker/finish/",)),
    _Rule(
        "cursors and claims",
        (
            "worker/claim/claimer.py",
            "worker/claim/cursor.py",
            "worker/claim/intake.py",
            "worker/claim/queue_state.py",
            "worker/claim/looks.py",
            "worker/claim/plan.py",
            "worker/claim/sender.py",
        ),
    ),
    _Rule(
        "buffer",
        ("worker/run/runner.py", "worker/run/buffer.py"),
        frozenset({"add", "next", "ring"}),
    ),
    _Rule(
        "one job's run",
        (
            "worker/run/admission.py",
            "worker/run/attempt.py",
            "worker/run/settle.py",
            "worker/run/verdict.py",
            "worker/run/job_log.py",
        ),
    ),
    _Rule("slots and tasks", ("worker/run/runner.py",)),
)
PARTS = (LOOP, DECODE, *(rule.part for rule in _RULES), REST)

# A thread that waits uses no CPU: for the kernel, for the interpreter, for another thread.
_WAITS = frozenset(
    {"epoll_wait", "epoll_pwait", "poll", "select", "pthread_cond_wait", "pthread_cond_timedwait"}
)

_FRAME = re.compile(r"(?P<function>.*) \((?P<file>[^()]*?)(?::\d+)?\)")


def read_stacks(lines: Iterable[str]) -> Counter[str]:
    """Count samples by part: each line is a stack, outermost frame first, and how often it was.

    Waits are left out, though the sampler takes some for work.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        frames = stack.split(";")
        # The innermost frame of a wait may be an address without a name.
        if not any(frame.partition(" ")[0] in _WAITS for frame in frames[-2:]):
            counts[_part_of(frames)] += int(count)
    return counts


def _part_of(stack: list[str]) -> str:
    frames = [(m["function"], m["file"]) for m in map(_FRAME.fullmatch, stack) if m]
    for function, file in reversed(frames):
        name = function.rpartition(".")[2]
        for rule in _RULES:
            if rule.fits(name, file):
                return rule.part
    # The driver reads from the socket's callback, where none of our functions is.
    if any("asyncpg/" in file for _, file in frames):
        return DECODE
    if any("uvloop" in file or "asyncio/" in file for _, file in frames):
        return LOOP
    return REST
