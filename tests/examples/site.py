"""A web application that runs: its server and its worker, by the commands of its README."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from tests.examples.conftest import Example
from tests.examples.readme import commands
from tests.harness.processes import Program
from tests.harness.waiting import wait_until

__all__ = ["Site", "serving"]


class Site(NamedTuple):
    """``client`` asks the server, over a socket of ours."""

    client: httpx2.Client
    programs: tuple[Program, ...]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a state, as long as both programs run."""

        def holds() -> bool:
            for program in self.programs:
                assert program.runs, program.log()
            return condition()

        wait_until(holds)

    def answers(self) -> bool:
        """Say whether the server listens."""
        try:
            return self.client.get("/").status_code > 0
        except httpx2.TransportError:
            return False

    def get(self, path: str) -> Any:
        """Return the JSON of a page."""
        return self.client.get(path).raise_for_status().json()

    def post(self, path: str, given: object) -> Any:
        """Return the JSON of an answer."""
        return self.client.post(path, json=given).raise_for_status().json()


@contextmanager
def serving(example: Example, home: Path, bind: str) -> Iterator[Site]:
    """Run the first two commands of "Run"; ``bind``: the server's option for a socket."""
    socket = home / "socket"
    transport = httpx2.HTTPTransport(uds=str(socket))
    serve, work = commands(example.home, "Run")[:2]
    with (
        example.running(f"{serve} {bind.format(socket)}", home / "server.log") as server,
        example.running(work, home / "worker.log") as worker,
        httpx2.Client(transport=transport, base_url="http://site") as client,
    ):
        site = Site(client, (server, worker))
        site.until(site.answers)
        yield site
