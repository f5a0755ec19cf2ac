"""The HTTP side: an order and its job are one transaction."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pgqueue import JobState, Worker
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from shop import settings
from shop.database import Order, Session, engine
from shop.jobs import app, send_receipt

__all__ = ["api"]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Close what is open when the server stops; in development, run a worker meanwhile."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        await stack.enter_async_context(app)
        if settings.WORKER:
            await stack.enter_async_context(Worker(app, concurrency=10))
        yield


api = FastAPI(title="Shop", lifespan=lifespan)


async def transaction() -> AsyncIterator[AsyncSession]:
    """Open a transaction for the request; each enqueue in it is part of it."""
    async with Session.begin() as session, app.within(session):
        yield session


# "function": it is committed before the answer is sent, so an order that was answered exists.
Transaction = Annotated[AsyncSession, Depends(transaction, scope="function")]


class NewOrder(BaseModel):
    """What a customer sends."""

    email: str = Field(min_length=3)
    cents: int = Field(gt=0)


class PlacedOrder(BaseModel):
    """What a customer gets: the id, and what to ask for the receipt."""

    id: int
    receipt: str


class Receipt(BaseModel):
    """``state``: of its job, until that is deleted: a week after its end, unless you say else."""

    sent_at: datetime | None
    state: JobState | None
    problem: str | None


@api.post("/orders", status_code=201)
async def place_order(new: NewOrder, session: Transaction) -> PlacedOrder:
    """Place an order. Its receipt is sent by a job."""
    order = Order(email=new.email, cents=new.cents)
    session.add(order)
    await session.flush()  # it has its id now
    job = await send_receipt.aenqueue(order.id)
    order.receipt_job = job.id
    if new.cents > 1_000_000:
        raise HTTPException(422, "too large for an order by HTTP")  # neither order nor job
    return PlacedOrder(id=order.id, receipt=f"/orders/{order.id}/receipt")


@api.get("/orders/{order_id}/receipt")
async def receipt(order_id: int, session: Transaction) -> Receipt:
    """Say where the receipt of an order stands."""
    order = await session.get(Order, order_id)
    if order is None or order.receipt_job is None:
        raise HTTPException(404, f"there is no order {order_id}")
    job = await app.aget_job(order.receipt_job, connection=session)
    return Receipt(
        sent_at=order.receipt_sent_at,
        state=job.state if job else None,
        problem=job.errors[-1].message if job and job.errors else None,
    )
