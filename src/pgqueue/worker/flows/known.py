"""The floors of all flows, for as long as one server is known to have told them."""

from __future__ import annotations

from pgqueue.worker.flows.floors import Answer, Floors

__all__ = ["Known"]


class Known:
    """``floors``: by flow. ``server``: since when the server runs that told them."""

    def __init__(self) -> None:
        self.floors: dict[str, Floors] = {}
        self.server: object = None
        self._connection: int | None = None

    def on(self, connection: int | None) -> Known:
        """Return what is known on this connection; None: on the one that will be opened.

        A server that crashed may hand out numbers again: on another connection all is forgotten.
        Behind a pooler the connection stays, and the server says since when it runs.
        """
        if connection is None or connection != self._connection:
            self.floors, self.server = {}, None
            self._connection = connection
        return self

    def of(self, flow: str) -> Floors:
        """Return the floors of a flow."""
        return self.floors.get(flow) or Floors()

    def learn(self, flow: str, answer: Answer) -> None:
        """Take in what an admission answered that was not told to wait for another one."""
        if answer["server"] != self.server:
            self.floors, self.server = {}, answer["server"]
        if answer["newest_ticket"] is not None:  # else there is no such flow
            self.floors.setdefault(flow, Floors()).learn(answer)
