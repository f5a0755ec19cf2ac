"""The random operations of a world."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.flows.caller import Caller
from tests.flows.life import Life, connect_life
from tests.flows.world import FLOWS, UNKNOWN, World

__all__ = ["STEPS", "run"]

KEYS = ("a", "b", "c", "")
RUNS = "worker_id is not null"
IN_LINE = "flow is not null and position is null and rank > 0 and run_at = 'infinity'"
DUE_LATER = "flow is not null and position is null and run_at < 'infinity'"


async def enqueue(world: World) -> None:
    draw = world.draw
    docs: list[dict[str, object]] = []
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        flow = draw.choice(world.names)
        doc: dict[str, object] = {"task": "t", "flow": flow, "flow_key": draw.choice(KEYS)}
        if draw.random() < 0.2:
            doc["priority"] = draw.randint(0, 9)
        if draw.random() < 0.2:
            doc["queue"] = "other"
        if draw.random() < 0.2:
            doc["weight"] = draw.randint(1, 4)
        if draw.random() < 0.1:
            doc["delay"] = 3600
        if draw.random() < 0.1:
            doc["unique_key"] = f"{draw.random()}"
        docs.append(doc)
    number = draw.randrange(len(world.producers))
    life = world.producers[number]
    if number in world.held:
        world.held[number] += await life.put_all(docs)
    elif draw.random() < 0.4:
        await life.sql("begin")
        world.held[number] = await life.put_all(docs)
    else:
        world.ids.update(await life.put_all(docs))
    world.tell("enqueue", docs, number in world.held)


async def settle(world: World) -> None:
    """A transaction of a producer ends: a commit, a rollback, or its session is cut."""
    if not world.held:
        return
    number = world.draw.choice(sorted(world.held))
    ids = world.held.pop(number)
    way = world.draw.choice(("commit", "commit", "rollback", "cut"))
    world.tell(way, "of", number)
    if way == "cut":
        world.producers[number] = await cut(world, world.producers[number])
        return
    await world.producers[number].sql(way)
    if way == "commit":
        world.ids.update(ids)


async def cut(world: World, life: Life) -> Life:
    """End a session; return another one."""
    await world.look.sql("select pg_terminate_backend($1, 60000)", life.pid)
    life.connection.terminate()
    return await connect_life(world.dsn)


async def lock(world: World) -> None:
    """A producer holds jobs in line, as a transaction does that cancels or changes them."""
    number = world.draw.randrange(len(world.producers))
    ids = await world.pick(IN_LINE, 9)
    if number not in world.held and ids:
        await world.producers[number].sql("begin")
        await world.producers[number].sql(
            "select from @.job where id = any ($1::bigint[]) for update skip locked", ids
        )
        world.held[number] = []
        world.tell("lock", ids)


async def open_end(world: World) -> None:
    """Running jobs complete in a transaction of the handler's."""
    number = world.draw.randrange(len(world.producers))
    ids = await world.pick(RUNS)
    if number not in world.held and ids:
        await world.producers[number].sql("begin")
        await world.producers[number].end(ids)
        world.held[number] = []
        world.tell("open end", ids)


async def admit(world: World) -> None:
    caller = world.draw.choice([caller for caller in world.callers if caller.open is None])
    leaves_open = len(world.busy) < len(world.callers) - 1 and world.draw.random() < 0.1
    await world.admission(
        caller, world.draw.choice(world.names), world.draw.choice((1, 2, 8, 100)),
        commit=not leaves_open,
    )  # fmt: skip


async def settle_admission(world: World) -> None:
    """An open admission commits, or its worker dies in it, and with it what it remembered."""
    for number, caller in enumerate(world.callers):
        if caller.open is None:
            continue
        way = world.draw.choice(("commit", "rollback", "cut"))
        world.tell("admission of", caller.open, way)
        if way == "cut":
            world.callers[number] = Caller(await cut(world, caller.life))
        else:
            await caller.life.sql(way)
            caller.open = None
            if way == "rollback":
                caller.again.clear()
        return


async def take(world: World) -> None:
    caller = idle(world)
    world.tell("take", await caller.life.take(world.draw.choice((1, 3, 20))))


async def end(world: World) -> None:
    ids = await world.pick(RUNS, 8)
    used = world.draw.choice((None, None, 5.0))
    world.tell("end", ids, used)
    await idle(world).life.end(ids, used)


async def retry(world: World) -> None:
    ids = await world.pick(RUNS)
    hold = world.draw.choice((None, None, None, 0.02))
    world.tell("retry", ids, hold)
    await idle(world).life.retry(ids, hold, world.draw.random() < 0.3)


async def give_back(world: World) -> None:
    ids = await world.pick(RUNS)
    world.tell("give back", ids)
    await idle(world).life.give_back(ids)


async def bury(world: World) -> None:
    ids = await world.pick(RUNS)
    if not world.busy:  # an admission may have written the row of the key
        world.tell("bury", ids)
        await idle(world).life.die(ids)


async def cancel(world: World) -> None:
    ids = await world.pick("worker_id is null and flow is not null")
    world.tell("cancel", ids)
    await idle(world).life.cancel(ids)


async def promote(world: World) -> None:
    ids = await world.pick(DUE_LATER, 8)
    world.tell("promote", ids)
    life = idle(world).life
    await (life.promote(ids) if world.draw.random() < 0.5 else life.ready(ids))


async def again(world: World) -> None:
    """An operator redrives what is dead, or revives what was cancelled."""
    life = idle(world).life
    dead = await world.look.sql("select id from @.dead order by id limit 2")
    gone = await world.look.sql(
        "select id from @.history where state = 'cancelled' order by id limit 1"
    )
    world.tell("again", dead, gone)
    await life.redrive([row["id"] for row in dead])
    await life.revive([row["id"] for row in gone])


async def rescue(world: World) -> None:
    """A worker is lost, and what it held is released, or dead."""
    caller = idle(world)
    world.tell("rescue", caller.life.id)
    if not world.busy:  # an admission may have written the row of the key
        await caller.life.rescue(caller.life.id, cap=world.draw.choice((1, 9)))


async def limits(world: World) -> None:
    """An operator sets others, of a flow or of a key."""
    draw = world.draw
    flow = draw.choice([name for name in world.flows if name not in world.busy] or [UNKNOWN])
    if flow in world.busy or flow == UNKNOWN:
        return
    if draw.random() < 0.5:
        given = {"concurrency": draw.choice((0, 1, 3, 20)), "key_concurrency": draw.randint(0, 4)}
        settings = {**FLOWS[flow], **({} if draw.random() < 0.4 else given)}
        world.tell("limits of", flow, settings)
        await world.look.set_flow(flow, settings)
        return
    key = draw.choice(KEYS)
    values = {
        "weight": draw.choice((0.5, 1.0, 7.0, 40.0)),
        "concurrency": draw.choice((None, 0, 1, 5)),
    }
    world.tell("limits of", flow, key, values)
    await world.look.set_key(flow, key, **values)
    await world.look.changed(flow)


async def pause(world: World) -> None:
    """An operator pauses or resumes a flow, a key or a queue."""
    draw = world.draw
    flow, paused = draw.choice(world.names), draw.random() < 0.4
    if world.busy:
        return
    what = draw.choice(("flow", "key", "queue"))
    world.tell("pause", what, flow, paused)
    if what == "flow":
        await world.look.pause_flow(flow, paused=paused)
    elif what == "key":
        await world.look.pause_key(flow, draw.choice(KEYS), paused=paused)
    else:
        await pause_queue(world, paused=paused)


async def pause_queue(world: World, *, paused: bool) -> None:
    await world.look.sql(
        "update @.queue set paused_at = case when $1::boolean then now() end where name = 'other'",
        paused,
    )
    for name in world.names:
        await world.look.changed(name)


def idle(world: World) -> Caller:
    return world.draw.choice([caller for caller in world.callers if caller.open is None])


STEPS: dict[Callable[[World], Awaitable[None]], int] = {
    enqueue: 20, settle: 12, lock: 6, open_end: 3, admit: 40, settle_admission: 8, take: 20,
    end: 25, retry: 9, give_back: 4, bury: 3, cancel: 4, promote: 5, again: 2, rescue: 3,
    limits: 4, pause: 4,
}  # fmt: skip
ADMITS = {admit, settle_admission}


async def run(world: World, steps: int) -> None:
    for _ in range(steps):
        (step,) = world.draw.choices(list(STEPS), list(STEPS.values()))
        await step(world)
        await world.checked(step in ADMITS)
