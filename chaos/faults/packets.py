"""Packets that are dropped in the kernel, for the proxy's port alone. F11.

The rules belong to an ``nft`` that reads from a pipe of ours: when it ends, also because we were
killed, the kernel removes them.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chaos.faults.fault import BaseFault, Impossible, Missed, wait_for
from chaos.faults.packages import NFTABLES, unpacked

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["DropPackets", "Rules"]


class Rules:
    """An nft with a table of its own."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise Impossible("rules for packets need root")
        home = unpacked(NFTABLES)
        libraries = [str(path) for path in (home / "usr" / "lib").glob("*-linux-gnu")]
        self._env = {"LD_LIBRARY_PATH": ":".join(libraries), "PATH": "/usr/sbin:/usr/bin:/bin"}
        self._program = str(home / "usr" / "sbin" / "nft")
        self._said = ""
        self._table = f"inet pgqueue_chaos_{os.getpid()}"
        self._nft = subprocess.Popen(
            [self._program, "-i"],
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def drop(self, port: int) -> None:
        """Drop what goes to and from this port of the loopback interface."""
        table = self._table
        assert self._nft.stdin is not None
        for line in (
            f"add table {table} {{ flags owner; }}",
            f"add chain {table} out {{ type filter hook output priority 0; }}",
            f'add rule {table} out oifname "lo" tcp dport {port} counter drop',
            f'add rule {table} out oifname "lo" tcp sport {port} counter drop',
        ):
            self._nft.stdin.write(line.encode() + b"\n")
        self._nft.stdin.flush()

    def dropped(self) -> int:
        """How many packets were dropped; -1 if the rules are not there."""
        done = subprocess.run(
            [self._program, "list", "table", *self._table.split()],
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        words = done.stdout.split()
        counts = [int(words[n + 1]) for n, word in enumerate(words) if word == "packets"]
        return sum(counts) if counts else -1

    def close(self) -> str:
        """Remove the rules; return what nft had to say."""
        if self._nft.returncode is None:
            said, _ = self._nft.communicate(timeout=10)
            self._said = said.decode(errors="replace")
        return self._said


class DropPackets(BaseFault):
    """No packet gets through for a while: no answer, no acknowledgement, no reset."""

    name = "drop-packets"
    label = "F11"
    disruptive = 12.0

    def __init__(self, least: float = 2.0, most: float = 12.0) -> None:
        self._span = (least, most)

    async def strike(self, arena: Arena) -> None:
        port = urlsplit(arena.worker_dsn).port
        if port is None:
            raise Impossible("the workers do not come by TCP")
        seconds = arena.rng.uniform(*self._span)
        rules = await asyncio.to_thread(Rules)
        try:
            await asyncio.to_thread(rules.drop, port)
            there = await wait_for(
                lambda: asyncio.to_thread(lambda: rules.dropped() >= 0), seconds=3.0
            )
            if not there:
                raise Impossible(f"the rules are not there: {rules.close()[:200]}")
            arena.log("dropping", port=port, seconds=round(seconds, 2))
            await asyncio.sleep(seconds)
            count = await asyncio.to_thread(rules.dropped)
        finally:
            await asyncio.to_thread(rules.close)
        arena.log("dropped", packets=count)
        if not count:
            raise Missed("there was no packet")
