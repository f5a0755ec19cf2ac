"""Django's TestCase: requests and their jobs in a transaction that is rolled back."""

from __future__ import annotations

from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.test import TestCase
from pgqueue.testing import Kit

from shop.jobs import app, charge, remind
from shop.models import Order


class Orders(TestCase):
    """The kit looks, and runs jobs, on the connection of the test."""

    def setUp(self) -> None:
        self.kit = Kit(app, connection)

    def order(self, cents: int = 250) -> Any:
        """Place one."""
        given = {"email": "ada@example.org", "cents": cents}
        return self.client.post("/orders", given, content_type="application/json")

    def test_an_order_is_charged(self) -> None:
        with self.kit.assert_enqueues(charge, queue="payments", count=1):
            answer = self.order()
        self.assertEqual(answer.status_code, 201)
        page = f"/orders/{answer.json()['id']}"
        self.assertEqual(self.client.get(page).json()["job"], "pending")

        self.assertEqual(self.kit.drain(), {"completed": 1})
        shown = {"paid": True, "job": "completed", "problem": None}
        self.assertEqual(self.client.get(page).json(), shown)

    def test_a_request_that_fails_leaves_no_job(self) -> None:
        self.client.raise_request_exception = False
        with self.kit.refute_enqueues(charge):
            self.assertEqual(self.order(cents=1_000_001).status_code, 500)
        self.assertFalse(Order.objects.exists())

    def test_unpaid_orders_are_reminded_of_once(self) -> None:
        Order.objects.create(email="ada@example.org", cents=250)
        with self.kit.assert_enqueues(remind, count=1):
            for _ in range(2):
                call_command("remind", days=0, stdout=StringIO())
        self.assertEqual(self.kit.drain(), {"completed": 1})
        self.assertIsNotNone(Order.objects.get().reminded_at)
