"""The pages. ``ATOMIC_REQUESTS``: what a view does is committed where it returns."""

from __future__ import annotations

import json
from http import HTTPStatus

from django.core.exceptions import ValidationError
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from shop.jobs import app, charge
from shop.models import Order

__all__ = ["place_order", "show_order"]

LARGEST = 1_000_000


@csrf_exempt
@require_POST
def place_order(request: HttpRequest) -> JsonResponse:
    """Place an order. The job that charges for it is in its transaction: no ``on_commit()``."""
    given = json.loads(request.body)
    order = Order.objects.create(email=given["email"], cents=given["cents"])
    order.job = charge.enqueue(order.pk).id
    order.save(update_fields=["job"])
    if order.cents > LARGEST:
        raise ValidationError("too large")  # a 500: neither the order nor its job is there
    return JsonResponse({"id": order.pk}, status=HTTPStatus.CREATED)


@require_GET
def show_order(request: HttpRequest, order_id: int) -> JsonResponse:
    """Say whether an order is paid, and where its job stands."""
    order = get_object_or_404(Order, pk=order_id)
    job = None if order.job is None else app.get_job(order.job, connection=connection)
    return JsonResponse(
        {
            "paid": order.paid_at is not None,
            "job": None if job is None else job.state.value,
            "problem": job.errors[-1].message if job and job.errors else None,
        }
    )
