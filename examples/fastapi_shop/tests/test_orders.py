"""Requests and their jobs in the transaction of the test: no worker, nothing stays."""

from __future__ import annotations

import pytest
from httpx2 import AsyncClient
from pgqueue.testing import Kit
from sqlalchemy import func, select

from shop.database import Order, Session
from shop.jobs import send_receipt

pytestmark = pytest.mark.anyio

ORDER = {"email": "ada@example.org", "cents": 250}


async def test_an_order_gets_its_receipt(client: AsyncClient, kit: Kit) -> None:
    async with kit.assert_enqueues(send_receipt, count=1):
        answer = await client.post("/orders", json=ORDER)
    assert answer.status_code == 201
    receipt = answer.json()["receipt"]
    waiting = {"sent_at": None, "state": "pending", "problem": None}
    assert (await client.get(receipt)).json() == waiting

    assert await kit.adrain() == {"completed": 1}
    sent = (await client.get(receipt)).json()
    assert sent["state"] == "completed"
    assert sent["sent_at"] is not None


async def test_an_order_that_is_refused_leaves_no_job(client: AsyncClient, kit: Kit) -> None:
    async with kit.refute_enqueues(send_receipt):
        answer = await client.post("/orders", json={**ORDER, "cents": 1_000_001})
    assert answer.status_code == 422
    async with Session() as session:
        large = select(func.count()).where(Order.cents > 1_000_000)
        assert await session.scalar(large) == 0


async def test_a_receipt_that_fails_says_why(client: AsyncClient, kit: Kit) -> None:
    answer = await client.post("/orders", json=ORDER)
    async with Session.begin() as session:
        await session.delete(await session.get_one(Order, answer.json()["id"]))
    done = await kit.adrain(raise_errors=False)
    assert done == {"retried": 1}
    assert "No row was found" in str(done.failures[0])


async def test_an_order_that_nobody_placed(client: AsyncClient) -> None:
    assert (await client.get("/orders/7/receipt")).status_code == 404
