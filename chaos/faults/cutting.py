"""A proxy that knows whose connections it forwards, and can fail one role or one statement."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict

from chaos.faults.wire import Downward, Upward
from tests.harness.proxy import Proxy, Streams

__all__ = ["Cut", "CuttingProxy", "Link", "end_unheard"]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_LAST_WORDS_SECONDS = 10.0
_NOTIFICATION = b"A"
_SLICE = 2048
_TCP_REPAIR = 19  # in linux/tcp.h: what is closed so says nothing to its peer


@dataclass(eq=False)
class Link:
    """One connection that is forwarded."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    port: int  # the client's
    upward: Upward = field(default_factory=Upward)
    downward: Downward = field(default_factory=Downward)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    lost: bool = False  # its client was cut off, and what the server says goes nowhere

    @property
    def role(self) -> str:
        """``claim``, ``finish``, ``heartbeat``, ``duties``, ``client``, ``task``; else the name."""
        return self.upward.application_name.removeprefix("pgqueue ")


@dataclass(eq=False)
class Cut:
    """Resets connections at a statement: when the server has it (``carried_out``), or before.

    ``statement`` is asked about each one that a client executes; ``fired`` counts the cuts.
    """

    statement: Callable[[Link, bytes], bool]
    carried_out: bool
    left: int = 1
    fired: int = 0


class CuttingProxy(Proxy):
    """A Proxy with more verbs; ``heal()`` ends these, too::

    silence(which)      matching connections hang; with ``new``, so do those to come
    resume(which)       they go on, and what they kept is delivered
    vanish(which)       matching connections end without a word to their clients; needs root
    arm(cut)            reset connections at the statements that ``cut`` matches
    notifications(n)    deliver each n times: 0 loses them
    throttle(rate)      so many bytes a second for each connection and direction
    admit()             a black hole and refusals end, and nothing else does
    retarget(dsn)       new connections go to another server
    """

    def __init__(self, dsn: str) -> None:
        self._living: set[Link] = set()
        self._silent: Callable[[Link], bool] | None = None
        self._cuts: list[Cut] = []
        self._copies = 1
        self._rate = 0
        self.altered = 0  # notifications that were lost or doubled
        super().__init__(dsn)

    def silence(self, which: Callable[[Link], bool], *, new: bool = False) -> int:
        """Let matching connections hang, acknowledged but never answered; return how many."""
        return self._call(self._silence(which, new))

    def resume(self, which: Callable[[Link], bool]) -> None:
        """Let matching connections go on, and all that are to come."""
        self._call(self._resume(which))

    def vanish(self, which: Callable[[Link], bool]) -> int:
        """End matching connections as if the word of that was lost; return how many."""
        return self._call(self._vanish(which))

    def admit(self) -> None:
        """End a black hole and refusals, and nothing else."""
        self._call(self._admit())

    def arm(self, cut: Cut) -> None:
        self._cuts.append(cut)

    def disarm(self, cut: Cut) -> None:
        with contextlib.suppress(ValueError):
            self._cuts.remove(cut)

    def notifications(self, copies: int) -> None:
        self._copies = copies

    def throttle(self, rate: int) -> None:
        self._rate = rate

    def retarget(self, dsn: str) -> None:
        target = conninfo_to_dict(dsn)
        self._host = str(target.get("host") or "127.0.0.1")
        self._target_port = int(target.get("port") or 5432)

    def roles(self) -> list[str]:
        """The role of each connection."""
        return [link.role for link in tuple(self._living)]

    async def _silence(self, which: Callable[[Link], bool], new: bool) -> int:
        if new:
            self._silent = which
        chosen = [link for link in self._living if which(link)]
        for link in chosen:
            link.open.clear()
        return len(chosen)

    async def _resume(self, which: Callable[[Link], bool]) -> None:
        self._silent = None
        for link in self._living:
            if which(link):
                link.open.set()

    async def _vanish(self, which: Callable[[Link], bool]) -> int:
        chosen = [link for link in self._living if which(link)]
        for link in chosen:
            end_unheard(link.client.get_extra_info("socket"))
            link.client.transport.abort()
            link.server.transport.abort()
        return len(chosen)

    async def _admit(self) -> None:
        delay = self._delay
        await super()._heal()
        self._delay = delay

    async def _heal(self) -> None:
        self._silent = None
        self._cuts.clear()
        self._copies, self._rate = 1, 0
        for link in self._living:
            link.open.set()
        await super()._heal()

    async def _relay(self, client: Streams, server: Streams) -> None:
        link = Link(client[1], server[1], client[1].get_extra_info("peername")[1])
        link.open.set()
        self._living.add(link)
        try:
            await asyncio.gather(self._send_up(link, client[0]), self._send_down(link, server[0]))
        finally:
            self._living.discard(link)

    async def _send_up(self, link: Link, reader: asyncio.StreamReader) -> None:
        cut: Cut | None = None
        while chunk := await reader.read(65536):
            out = bytearray()
            for kind, message in link.upward.feed(chunk):
                if kind == b"" and self._silent is not None and self._silent(link):
                    link.open.clear()
                if cut is None and kind in (b"Q", b"E"):
                    cut = self._cut_for(link)
                    if cut is not None and not cut.carried_out:
                        self._fire(cut, link)
                        return
                out += message
                if cut is not None and kind in (b"Q", b"S"):
                    await self._forward(link, bytes(out), link.server)
                    self._fire(cut, link)
                    link.server.write_eof()
                    return
            await self._forward(link, bytes(out), link.server)
        await self._passage(link)
        with contextlib.suppress(OSError):
            link.server.write_eof()

    async def _send_down(self, link: Link, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(65536):
            out = bytearray()
            for kind, message in link.downward.feed(chunk, link.upward):
                copies = 1
                if kind == _NOTIFICATION and self._copies != 1:
                    copies = self._copies
                    self.altered += 1
                out += message * copies
            if link.lost:
                continue
            try:
                await self._forward(link, bytes(out), link.client)
            except OSError:
                if not link.lost:
                    raise
        await self._passage(link)
        if not link.lost:
            with contextlib.suppress(OSError):
                link.client.write_eof()

    async def _forward(self, link: Link, data: bytes, writer: asyncio.StreamWriter) -> None:
        size = _SLICE if self._rate else len(data) or 1
        for at in range(0, len(data), size):
            part = data[at : at + size]
            if self._rate:
                await asyncio.sleep(len(part) / self._rate)
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._passage(link)
            writer.write(part)
            await writer.drain()

    async def _passage(self, link: Link) -> None:
        """Wait while this connection is silent, or all are."""
        await self._open.wait()
        await link.open.wait()

    def _cut_for(self, link: Link) -> Cut | None:
        for cut in self._cuts:
            if cut.left and cut.statement(link, link.upward.statement):
                cut.left -= 1
                return cut
        return None

    def _fire(self, cut: Cut, link: Link) -> None:
        cut.fired += 1
        link.lost = True
        raw = link.client.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        link.client.transport.abort()
        if not cut.carried_out:
            link.server.transport.abort()
        else:
            # The server sees to the end what it has begun, unless it waits for more.
            self._loop.call_later(_LAST_WORDS_SECONDS, link.server.transport.abort)


def end_unheard(own: socket.socket) -> None:
    """Let a socket say nothing to its peer when it is closed. Needs root, and Linux."""
    # What has come is acknowledged, or the peer would send it again, and be told.
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    own.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
