"""S17: an sslmode that the dsn asks for is never weakened, on any kind of connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import trustme

from pgqueue import App, Client, ConfigError, PgQueueError, RunningJob, Worker
from pgqueue.worker.run.transaction import JobTransactions

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class FalseServer:
    """Accepts, hears the request for TLS, and keeps what it is told afterwards."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked = 0
        self.leaked: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Hear no more; what was told until now is written down then."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10.0)
        self.socket.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                peer.settimeout(5)
                first = peer.recv(4096)
                if first != SSL_REQUEST:
                    self.leaked.append(first)
                    continue
                self.asked += 1
                if told := self._answer(peer):
                    self.leaked.append(told)

    def _answer(self, peer: socket.socket) -> bytes:
        """Answer the request; return what comes then."""
        raise NotImplementedError


class Impostor(FalseServer):
    """Says yes to TLS, with a certificate of its own."""

    def __init__(self, name: str, authority: trustme.CA) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(self._context)
        super().__init__()

    def _answer(self, peer: socket.socket) -> bytes:
        peer.sendall(b"S")
        with self._context.wrap_socket(peer, server_side=True) as inside:
            return inside.recv(4096)


class Downgrader(FalseServer):
    """Says no to TLS."""

    def _answer(self, peer: socket.socket) -> bytes:
        peer.sendall(b"N")
        return peer.recv(4096)


@pytest.fixture
def downgrader() -> Downgrader:
    return Downgrader()


KINDS = ["client", "blocking client", "worker", "thread"]


def begin_in_a_thread(app: App) -> None:
    transactions = JobTransactions(app.pool, deadline=2.0)
    transactions.begin(RunningJob({"id": 1}, 1, transactions, False))  # type: ignore[arg-type]


def connect(kind: str, dsn: str) -> None:
    """Connect in one of the ways in which the package does."""

    async def with_client() -> None:
        async with Client(dsn) as client:
            await client.aenqueue("t")

    async def with_worker() -> None:
        app = App(dsn)
        app.task(name="t")(lambda: None)
        # One that hangs up may be away, and would be waited for.
        with mock.patch("pgqueue.worker.arrival.is_away", return_value=False):
            await Worker(app, deadline=2.0).start()

    def blocking() -> None:
        with Client(dsn) as client:
            client.enqueue("t")

    ways: dict[str, Callable[[], object]] = {
        "client": lambda: asyncio.run(with_client()),
        "blocking client": blocking,
        "worker": lambda: asyncio.run(with_worker()),
        "thread": lambda: begin_in_a_thread(App(dsn)),
    }
    ways[kind]()


@pytest.mark.rule("S17")
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_said_in_the_clear(downgrader: Downgrader, mode: str, kind: str) -> None:
    dsn = f"postgresql://me:secret@127.0.0.1:{downgrader.port}/x?sslmode={mode}"
    roots = ssl.get_default_verify_paths().cafile or CA_BUNDLE
    if mode != "require":
        dsn += f"&sslrootcert={roots}"
    with pytest.raises(PgQueueError):
        connect(kind, dsn)
    downgrader.end()
    # Without the roots to verify by, it does not even connect.
    assert downgrader.asked >= 1 or (mode != "require" and not Path(roots).exists())
    assert downgrader.leaked == []


@pytest.mark.rule("S17")
@pytest.mark.parametrize("wrong", ["authority", "name", "nothing"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_said_to_who_has_the_wrong_certificate(
    kind: str, wrong: str, tmp_path: Path
) -> None:
    """Of an authority that is not ours, or for another name; with the right one it is told all."""
    ours, theirs = trustme.CA(), trustme.CA()
    roots = tmp_path / "roots.pem"
    ours.cert_pem.write_to_path(str(roots))
    impostor = Impostor(
        "elsewhere.example" if wrong == "name" else "localhost",
        theirs if wrong == "authority" else ours,
    )
    dsn = (
        f"postgresql://me:secret@localhost:{impostor.port}/x"
        f"?sslmode=verify-full&sslrootcert={roots}"
    )
    with pytest.raises(PgQueueError):
        connect(kind, dsn)  # who has the right one hangs up
    impostor.end()
    assert impostor.asked >= 1
    assert bool(impostor.leaked) == (wrong == "nothing")


@pytest.mark.rule("S17")
def test_the_dsn_is_handed_on_as_it_was_given() -> None:
    for mode in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"):
        dsn = f"postgresql://me@db.example/x?sslmode={mode}&channel_binding=prefer"
        assert Client(dsn).pool.dsn == dsn


@pytest.mark.rule("S17")
@pytest.mark.parametrize("more", ["channel_binding=require", "require_auth=scram-sha-256"])
def test_what_the_driver_cannot_demand_is_refused(more: str) -> None:
    with pytest.raises(ConfigError, match=more.partition("=")[0]):
        Client(f"postgresql://me@db.example/x?{more}")
