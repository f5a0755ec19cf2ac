"""One app of a module, and many event loops: what a loop leaves is closed as it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.one_pg

PROGRAM = """
import asyncio, gc, os, sys, warnings
from pgqueue import App

app = App(sys.argv[1])
left = []
sys.unraisablehook = lambda told: left.append(repr(told.exc_value))

@app.task
def note(n: int) -> None: ...

async def some() -> None:
    await asyncio.gather(*(note.aenqueue(n) for n in range(3)))
    await note.aenqueue(4)

def sockets() -> int:
    names = (os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
             if os.path.lexists(f"/proc/self/fd/{n}"))
    return sum(name.startswith("socket:") for name in names)

def end_with(close) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(some())
    close(loop)

asyncio.run(asyncio.sleep(0))
before = sockets()
for _ in range(3):
    asyncio.run(some())
    gc.collect()
    assert sockets() == before, sockets()

def in_order(loop) -> None:
    loop.run_until_complete(app.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()

end_with(in_order)
gc.collect()
assert sockets() == before, sockets()

if sys.argv[2] == "asyncio":  # uvloop's own close() waits for what is open
    end_with(lambda loop: loop.close())  # it tells nobody
    end_with(lambda loop: loop.close())
    asyncio.run(some())  # finds them
    gc.collect()
    assert sockets() == before, sockets()

note.enqueue(1)
app.close()
gc.collect()
assert not left, left
print("ended")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it counts the sockets in /proc")
@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_no_loop_leaves_a_connection(dsn: str, loops: str) -> None:
    start = ""
    if loops == "uvloop":
        pytest.importorskip("uvloop")
        start = "import uvloop, asyncio\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + PROGRAM, dsn, loops],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("ended\n", ""), done.stderr
