"""The rows of the catalogue that no fault here injects, and why; the report prints them."""

from __future__ import annotations

__all__ = ["IMPOSSIBLE"]

_KIND = "done by jobs of the workload, not to it: "
_TEST = "no fault from outside brings it about; tested in "

IMPOSSIBLE: dict[str, str] = {
    "F4": _KIND + "the kinds odd (SystemExit, KeyboardInterrupt, CancelledError) and exit",
    "F5": _KIND + "the kind block; a GIL held by C code is not among them",
    "F17": "needs a standby: in the arena standby-async",
    "F18": "needs a standby: in the arena standby-sync",
    "F19": "needs two servers: in the arena multi-host",
    "F21": "connections run out here; a full disk needs a small one: in the arena small-disk; "
    "out of memory in the server (53200) is not injected",
    "F27": "needs a server that runs under libfaketime: in the arena clocks",
    "F28": "no fault from outside brings it about; tested in tests/schedule/test_slots.py",
    "F31": "there is no leader to freeze: F29 and F30 freeze whoever does a duty",
    "F33": _TEST + "tests/db/test_client.py (forks)",
    "F34": "a different way to connect: in the arena pgbouncer",
    "F35": _KIND + "the kind exit ends its process until it is dead; a kill by the kernel for lack "
    "of memory looks the same to the others",
    "F36": _TEST + "tests/unit/test_payload.py",
    "F37": _KIND + "the kind poison",
    "F38": _TEST + "tests/worker/test_poison.py; a row changed by hand is no job of a producer's",
    "F39": _KIND + "the kind ghost",
    "F43": _KIND + "the kind once, with forty keys",
    "F44": "no workflows are built",
    "F45": _KIND + "the canceller and the operator race with everything else",
    "F48": "no streams of results or progress are built",
    "F49": "done by user code inside the process; tested in tests/worker",
    "F50": _KIND + "producers that enqueue in transactions, roll back, and are cancelled",
}
