"""A proxy between a client and PostgreSQL that can be told to fail."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from psycopg.conninfo import conninfo_to_dict

from pgqueue.db.connect import set_options
from pgqueue.db.session import KEEPALIVE_OPTIONS

__all__ = ["Proxy", "Streams"]

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on 127.0.0.1 and forwards to the server of ``dsn``, from a thread of its own.

    The verbs may be called from any thread and have taken effect when they return::

        blackhole()     nothing is forwarded; all sides stay connected, and sends are acknowledged
        refuse()        new connections are refused; those that are there live on
        delay(seconds)  each chunk, both ways, is forwarded that much later
        cut()           all connections are reset
        heal()          forward, accept, and no delay; what a blackhole kept is delivered now
    """

    def __init__(self, dsn: str) -> None:
        target = conninfo_to_dict(dsn)
        self._host = str(target.get("host") or "127.0.0.1")
        self._target_port = int(target.get("port") or 5432)
        self._user, self._password = target.get("user"), target.get("password")
        self._database = str(target.get("dbname"))
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._delay = 0.0
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-proxy")
        self._thread.start()
        self._call(self._heal())

    @property
    def dsn(self) -> str:
        return self.dsn_for(self._database)

    def dsn_for(self, database: str) -> str:
        user = f"{self._user}:{self._password}" if self._password else self._user
        return f"postgresql://{user}@127.0.0.1:{self._port}/{database}"

    @property
    def connections(self) -> int:
        """How many connections are being forwarded or held."""
        return len(self._links)

    def blackhole(self) -> None:
        self._call(self._blackhole())

    def refuse(self) -> None:
        self._call(self._refuse())

    def delay(self, seconds: float) -> None:
        self._delay = seconds

    def cut(self) -> None:
        self._call(self._cut())

    def heal(self) -> None:
        self._call(self._heal())

    def close(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _blackhole(self) -> None:
        self._open.clear()

    async def _heal(self) -> None:
        self._delay = 0.0
        self._open.set()
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._accept, "127.0.0.1", self._port, reuse_address=True
            )
            self._port = self._listener.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _cut(self) -> None:
        for client, server in self._links:
            with contextlib.suppress(OSError):  # it may be closed on this side already
                client.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
                )
            client.transport.abort()
            server.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close(self) -> None:
        await self._refuse()
        await self._cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # The server would find out about a client that vanished; behind this it cannot.
        set_options(writer.get_extra_info("socket"), KEEPALIVE_OPTIONS)
        try:
            # A cut while this one waits to be connected is a cancellation.
            await self._open.wait()
            server_reader, server_writer = await self._connect()
            link = (writer, server_writer)
            self._links.add(link)
            try:
                await self._relay((reader, writer), (server_reader, server_writer))
            finally:
                self._links.discard(link)
                server_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _relay(self, client: Streams, server: Streams) -> None:
        """Carry what they say to each other, until one of them ends."""
        await asyncio.gather(self._pump(client[0], server[1]), self._pump(server[0], client[1]))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._host.startswith("/"):
            path = f"{self._host}/.s.PGSQL.{self._target_port}"
            return await asyncio.open_unix_connection(path)
        return await asyncio.open_connection(self._host, self._target_port)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._open.wait()
            writer.write(chunk)
            await writer.drain()
        await self._open.wait()  # a black hole swallows goodbyes, too
        with contextlib.suppress(OSError):
            writer.write_eof()
