"""Each example passes its own tests, and works by the commands of its README."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.examples.conftest import Example
from tests.examples.readme import EXAMPLES, commands
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.one_pg


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", [name], indirect=True)


@contextmanager
def site(example: Example, logs: Path, bind: str) -> Iterator[httpx2.Client]:
    """Run the server and the worker of the README; ``bind``: its option for a socket of ours."""
    socket = logs / "socket"
    transport = httpx2.HTTPTransport(uds=str(socket))
    serve, work = commands(example.home, "Run")[:2]
    with (
        example.running(f"{serve} {bind.format(socket)}", logs / "server.log") as server,
        example.running(work, logs / "worker.log"),
        httpx2.Client(transport=transport, base_url="http://site") as client,
    ):

        def answers() -> bool:
            assert server.runs, server.log()
            try:
                return client.get("/").status_code > 0
            except httpx2.TransportError:
                return False

        wait_until(answers, what="an answer of the server")
        yield client


@pytest.mark.parametrize("example", [home.name for home in EXAMPLES], indirect=True)
def test_its_own_tests_pass(example: Example) -> None:
    for command in commands(example.home, "Test"):
        print(example.run(command))


@of("files")
def test_a_pipeline_of_files(example: Example) -> None:
    scan, work = commands(example.home, "Run")[:2]
    assert example.run(scan) == "3 new files\n"
    example.run(work)
    (dead,) = [command for command in commands(example.home, "Run") if " dead " in command]
    assert "poison.csv, line 2" in example.run(f"COLUMNS=200 {dead}")
    assert example.run(scan) == "0 new files\n"
    loaded = "select count(*), sum(sales) from file where loaded_at is not null"
    assert example.query(loaded) == [(2, 5)]


@of("fastapi_shop")
def test_a_shop_with_uvicorn(example: Example, tmp_path: Path) -> None:
    order = {"email": "ada@example.org", "cents": 250}
    with site(example, tmp_path, "--uds {}") as client:
        receipts = [client.post("/orders", json=order).json()["receipt"] for _ in range(5)]
        wait_until(
            lambda: {client.get(receipt).json()["state"] for receipt in receipts} == {"completed"}
        )
        assert client.post("/orders", json={**order, "cents": 1_000_001}).status_code == 422
    assert example.query("select count(*), count(receipt_sent_at) from orders") == [(5, 5)]
    assert example.query("select state, count(*) from pgqueue.jobs group by 1") == [
        ("completed", 5)
    ]
