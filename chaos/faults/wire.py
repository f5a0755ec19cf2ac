"""PostgreSQL's protocol, as much of it as a fault must know: messages, names, statements."""

from __future__ import annotations

import struct

__all__ = ["Downward", "Upward"]

_TLS, _GSS, _CANCEL = 80877103, 80877104, 80877102


class Upward:
    """What a client sends, cut into whole messages.

    ``application_name`` is known after the first message that names it. ``statement`` is the text
    of the one that the last message executes.
    """

    def __init__(self) -> None:
        self.application_name = ""
        self.statement = b""
        self.bytes_due = 0  # answers of one byte that the server owes, to be asked for encryption
        self._started = False
        self._rest = b""
        self._prepared: dict[bytes, bytes] = {}

    def feed(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        """Return the kind and the bytes of each message that is now complete."""
        data = self._rest + chunk
        at = 0
        found: list[tuple[bytes, bytes]] = []
        while True:
            head = 1 if self._started else 0
            if len(data) < at + head + 4:
                break
            end = at + head + struct.unpack_from("!i", data, at + head)[0]
            if len(data) < end:
                break
            kind, body = data[at : at + head], data[at + head + 4 : end]
            found.append((kind, data[at:end]))
            self._learn(kind, body)
            at = end
        self._rest = data[at:]
        return found

    def _learn(self, kind: bytes, body: bytes) -> None:
        match kind:
            case b"":
                self._start(body)
            case b"Q":
                self.statement = body.rstrip(b"\0")
            case b"P":
                name, text = body.split(b"\0", 2)[:2]
                self._prepared[name] = text
            case b"B":
                name = body.split(b"\0", 2)[1]
                self.statement = self._prepared.get(name, b"")
            case _:
                pass

    def _start(self, body: bytes) -> None:
        code = struct.unpack_from("!i", body)[0]
        if code in (_TLS, _GSS):
            self.bytes_due += 1
            return
        self._started = True
        if code != _CANCEL:
            words = body[4:].split(b"\0")
            given = dict(zip(words[::2], words[1::2], strict=False))
            self.application_name = given.get(b"application_name", b"").decode(errors="replace")


class Downward:
    """What a server sends, cut into whole messages."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes, upward: Upward) -> list[tuple[bytes, bytes]]:
        """Return the kind and the bytes of each message that is now complete."""
        data = self._rest + chunk
        at = 0
        found: list[tuple[bytes, bytes]] = []
        while at < len(data) and upward.bytes_due:
            upward.bytes_due -= 1
            found.append((b"", data[at : at + 1]))
            at += 1
        while len(data) >= at + 5:
            end = at + 1 + struct.unpack_from("!i", data, at + 1)[0]
            if len(data) < end:
                break
            found.append((data[at : at + 1], data[at:end]))
            at = end
        self._rest = data[at:]
        return found
