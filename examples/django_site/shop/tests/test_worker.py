"""Django's TransactionTestCase: what is committed, and a real worker."""

from __future__ import annotations

from django.db import transaction
from django.test import TransactionTestCase

from shop.jobs import app, charge
from shop.models import Order


class Worked(TransactionTestCase):
    """``run_until_idle_sync`` starts a worker, waits until nothing is due, and stops it."""

    def test_a_worker_charges_for_what_was_committed(self) -> None:
        with transaction.atomic():
            order = Order.objects.create(email="ada@example.org", cents=250)
            charge.enqueue(order.pk)
        with transaction.atomic():
            charge.enqueue(order.pk + 1)
            transaction.set_rollback(True)
        self.assertEqual(app.run_until_idle_sync(), {"completed": 1})
        order.refresh_from_db()
        self.assertIsNotNone(order.paid_at)
