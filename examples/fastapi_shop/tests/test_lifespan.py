"""The application as a server runs it, with the worker of development in its event loop."""

from __future__ import annotations

import time

import pytest
from fastapi.testclient import TestClient

from shop import settings
from shop.api import api


def test_a_receipt_is_sent_by_the_worker_of_the_lifespan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "WORKER", True)
    with TestClient(api) as client:
        order = client.post("/orders", json={"email": "ada@example.org", "cents": 250}).json()
        while (receipt := client.get(order["receipt"]).json())["state"] != "completed":
            assert receipt["problem"] is None
            time.sleep(0.05)
