"""A blocking connection that is given up in a step; a pair of sockets stands for the server."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import weakref
from contextlib import ExitStack
from typing import Any

import pytest

from pgqueue.db.blocking import BlockingConnection
from pgqueue.db.interrupts import Deferred
from pgqueue.db.wrecks import KEPT, kept, let_go


class Connection:
    """What a blocking connection asks of a connection of asyncpg."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def is_closed(self) -> bool:
        return self._transport.is_closing()

    def terminate(self) -> None:
        self._transport.abort()


async def connect(own: socket.socket) -> Any:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=own)
    return Connection(transport)


def connected() -> tuple[BlockingConnection, socket.socket]:
    """One that holds a connection, and the server's end of it."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(60)
    own = BlockingConnection()
    own.hold(own.loop.run_until_complete(connect(ours)))
    assert own.fd == ours.fileno()
    return own, theirs


async def struck() -> None:
    raise SystemExit


def takes(number: int, stack: ExitStack) -> socket.socket:
    """Open sockets until one has this number; return its peer."""
    while True:
        pair = socket.socketpair()
        for own in pair:
            stack.enter_context(own)
        for own, peer in (pair, pair[::-1]):
            if own.fileno() == number:
                return peer
        assert max(own.fileno() for own in pair) < number + 1000


def test_what_took_the_number_of_a_lost_socket_is_left_alone() -> None:
    own, theirs = connected()
    number = own.fd
    own.discard()
    with theirs, ExitStack() as stack:
        peer = takes(number, stack)
        with pytest.raises(SystemExit):
            own.run(struck(), Deferred())
        assert own.given_up
        peer.send(b"x")


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_a_connection_that_is_given_up_leaves_no_descriptor_open() -> None:
    """Nor does what it leaves close the number again, which is soon another's."""
    own, theirs = connected()
    number = own.fd
    with theirs, ExitStack() as stack:
        with pytest.raises(SystemExit):
            own.run(struck(), Deferred())
        assert theirs.recv(1) == b""
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
        peer = takes(number, stack)
        kept.pop()
        gc.collect()
        peer.send(b"x")


def test_a_connection_that_is_given_up_while_it_connects_hangs_up() -> None:
    ours, theirs = socket.socketpair()
    theirs.settimeout(60)
    number = ours.fileno()

    async def connecting() -> None:
        connection = await connect(ours)
        assert not connection.is_closed()
        raise SystemExit

    own = BlockingConnection()
    with theirs:
        with pytest.raises(SystemExit):
            own.run(connecting(), Deferred())
        assert theirs.recv(1) == b""
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_of_many_connections_that_are_given_up_the_latest_are_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go: their code has ended, and nobody hears of what it raised."""
    heard: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    ended: list[int] = []

    async def hangs(n: int) -> None:
        loop = asyncio.get_running_loop()
        helper = loop.create_task(asyncio.sleep(3600))
        try:
            loop.call_soon(sys.exit)
            await helper
        finally:
            ended.append(n)
            try:
                await asyncio.sleep(3600)
            finally:
                loop.call_soon(print)  # it is closed

    loops: list[weakref.ref[Any]] = []
    for n in range(KEPT + 5):
        own, theirs = connected()
        with theirs:
            loops.append(weakref.ref(own.loop))
            with pytest.raises(SystemExit):
                own.run(hangs(n), Deferred())
        assert own.given_up
    del own
    gc.collect()
    assert len(kept) == KEPT
    assert ended == list(range(ended[0], ended[0] + len(ended)))
    assert [ref() for ref in loops[:5]] == [None] * 5
    assert None not in [ref() for ref in loops[5:]]
    assert heard == []
    assert caplog.text == ""
    while kept:
        let_go(kept.popleft()[0])
