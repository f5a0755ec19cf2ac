"""``python manage.py remind``: enqueue a reminder for each order that is not paid."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from shop.jobs import app, remind
from shop.models import Order


class Command(BaseCommand):
    """For a timer. ``unique_key``: run twice, it does not remind twice."""

    help = "Enqueue a reminder for each order that is not paid."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add how old an order must be."""
        parser.add_argument("--days", type=int, default=3)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Enqueue all reminders in one statement."""
        before = timezone.now() - timedelta(days=options["days"])
        late = Order.objects.filter(paid_at=None, reminded_at=None, placed_at__lte=before)
        jobs = [
            remind.using(unique_key=f"remind {pk}").job(pk)
            for pk in late.values_list("pk", flat=True)
        ]
        new = sum(not job.duplicate for job in app.enqueue_many(jobs))
        self.stdout.write(f"{new} reminders")
