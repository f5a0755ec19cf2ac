"""What a supervisor and its child tell each other: JSON objects, one a line, over a socket.

The supervisor alone holds its end: a child that reads the end of the stream has lost it.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

__all__ = ["Control", "Message"]

Message = dict[str, Any]

_CHUNK = 65536


class Control:
    """One end. ``tell`` never waits for long; a peer that is gone is not an error."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._rest = b""

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def tell(self, **message: object) -> None:
        """Send a message."""
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def read(self) -> list[Message] | None:
        """Return the next messages; None at the end of the stream.

        Waits for one if the socket is a blocking one; returns nothing otherwise.
        """
        try:
            chunk = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not chunk:
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def messages(self) -> Iterator[Message]:
        """Yield every message, to the end of the stream; of a blocking socket."""
        while (some := self.read()) is not None:
            yield from some

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
