"""Each example passes its own tests, and works by the commands of its README."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.examples.conftest import Example
from tests.examples.readme import EXAMPLES, commands
from tests.examples.site import serving

pytestmark = pytest.mark.one_pg

ORDER = {"email": "ada@example.org", "cents": 250}
LARGE = {**ORDER, "cents": 1_000_001}
BY_STATE = "select state, count(*) from pgqueue.jobs group by 1"


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", [name], indirect=True)


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
    for command in commands(example.home, "Test"):  # beside the rows of the run
        print(example.run(command))


@of("fastapi_shop")
def test_a_shop_with_uvicorn(example: Example, tmp_path: Path) -> None:
    with serving(example, tmp_path, "--uds {}") as site:
        receipts = [site.post("/orders", ORDER)["receipt"] for _ in range(5)]
        site.until(lambda: {site.get(receipt)["state"] for receipt in receipts} == {"completed"})
        assert site.client.post("/orders", json=LARGE).status_code == 422
    assert example.query("select count(*), count(receipt_sent_at) from orders") == [(5, 5)]
    assert example.query(BY_STATE) == [("completed", 5)]


@of("django_site")
def test_a_site_with_gunicorn(example: Example, tmp_path: Path) -> None:
    with serving(example, tmp_path, "--bind unix:{}") as site:
        pages = [f"/orders/{site.post('/orders', ORDER)['id']}" for _ in range(5)]
        site.until(lambda: {site.get(page)["job"] for page in pages} == {"completed"})
        assert site.client.post("/orders", json=LARGE).status_code == 500
    assert example.query("select count(*), count(paid_at) from shop_order") == [(5, 5)]
    assert example.query(BY_STATE) == [("completed", 5)]


@of("flask_notes")
def test_notes_with_forked_processes(example: Example, tmp_path: Path) -> None:
    with serving(example, tmp_path, "--bind unix:{}") as site:
        with ThreadPoolExecutor(4) as many:
            written = many.map(lambda n: site.post("/notes", {"text": "word " * n}), range(20))
        pages = [f"/notes/{note['id']}" for note in written]
        site.until(lambda: {site.get(page)["job"] for page in pages} == {"completed"})
        assert site.client.post("/notes", json={"title": "no text"}).status_code == 400
    assert example.query("select count(*), sum(words) from note") == [(20, 190)]
    assert example.query(BY_STATE) == [("completed", 20)]
