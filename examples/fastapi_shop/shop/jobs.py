"""The app, and its tasks."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pgqueue

from shop.database import Order, Session
from shop.settings import DATABASE_URL

__all__ = ["app", "send_receipt"]

log = logging.getLogger(__name__)

app = pgqueue.App(DATABASE_URL)


@app.task(max_attempts=8, timeout=60)
async def send_receipt(order_id: int) -> None:
    """Send the receipt of an order, and note it.

    The note and the job's completion are one transaction. A worker that dies before it has sent
    the mail already: so the mail's id should be made of the order's, for the mail server to drop
    the second one.
    """
    async with Session() as session, pgqueue.current_job().transaction(session):
        order = await session.get_one(Order, order_id)
        log.info("receipt of order %d to %s: %d cents", order.id, order.email, order.cents)
        order.receipt_sent_at = datetime.now(UTC)
