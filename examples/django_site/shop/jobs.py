"""The app, and its tasks. They use models as any other code does."""

from __future__ import annotations

import logging

import pgqueue
from django.db import connection
from django.utils import timezone
from pgqueue.hooks.django import around
from psycopg.conninfo import make_conninfo

from shop.models import Order

__all__ = ["app", "charge", "remind"]

log = logging.getLogger(__name__)


def dsn() -> str:
    """Return the database of the settings, for the worker; in a test run, that of the tests."""
    settings = connection.settings_dict
    return make_conninfo(
        dbname=settings["NAME"],
        user=settings["USER"] or None,
        password=settings["PASSWORD"] or None,
        host=settings["HOST"] or None,
        port=settings["PORT"] or None,
    )


# Each enqueue is part of the transaction in which the site is at that moment.
app = pgqueue.App(dsn, connection=lambda: connection, around=around())


@app.task(queue="payments", max_attempts=8, on_crash="dead")
def charge(order_id: int) -> None:
    """Charge for an order.

    ``on_crash="dead"``: if a worker dies in the middle, nobody knows whether the customer was
    charged. A person decides, by ``pgqueue dead redrive``.
    """
    with pgqueue.current_job().transaction(connection):
        order = Order.objects.select_for_update().get(pk=order_id)
        log.info("charging %d cents for %s", order.cents, order)
        order.paid_at = timezone.now()
        order.save(update_fields=["paid_at"])


@app.task(queue="mail", expires=86_400)
async def remind(order_id: int) -> None:
    """Remind a customer of an order that is not paid; a day late, it is of no use."""
    order = await Order.objects.aget(pk=order_id)
    if order.paid_at is None:
        log.info("a reminder of %s", order)
        await Order.objects.filter(pk=order_id).aupdate(reminded_at=timezone.now())
