"""Wrong words, options and values at an enqueue, and async code mixed with sync code."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake

__all__ = ["ENQUEUE", "MIXED"]

ENQUEUE = (
    Mistake(
        code='send.using(wait="30s").enqueue(7)',
        says="ConfigError: wait must be seconds or a timedelta, got '30s'; write 30",
        cause="A wait is a number of seconds.",
        remedy="Write `send.using(wait=30).enqueue(7)`.",
    ),
    Mistake(
        code='app.queue("mail", max_depth=0)',
        says="ConfigError: max_depth must be from 1 to 10000000, got 0",
        cause="A queue that may hold nothing takes no job at all.",
        remedy="Give the number of jobs that may wait; `pgqueue queues pause` stops the workers.",
    ),
    Mistake(
        code="send.delay(7)",
        says="AttributeError: a task has no 'delay'; write .enqueue(...), or "
        "`await task.aenqueue(...)` from async code",
        cause="The word is that of another queue.",
        remedy="Write `send.enqueue(7)`.",
    ),
    Mistake(
        code="send.enqueue_sync(7)",
        says="AttributeError: a task has no 'enqueue_sync'; write .enqueue(...), or "
        "`await task.aenqueue(...)` from async code",
        cause="The method without async is the one without a mark.",
        remedy="Write `send.enqueue(7)`.",
    ),
    Mistake(
        code="send.using(countdown=60).enqueue(7)",
        says='ConfigError: using() takes no "countdown"; delay=seconds',
        cause="The word is that of another queue.",
        remedy="Write `send.using(delay=60).enqueue(7)`.",
    ),
    Mistake(
        code="send.using(delay=60, user_id=7)",
        says='ConfigError: using() takes no "user_id"; an argument of the task is given to '
        ".enqueue(...)",
        cause="`using` takes options of the job.",
        remedy="Write `send.using(delay=60).enqueue(user_id=7)`.",
    ),
    Mistake(
        code="send.using(delay=60)(7)",
        says="TypeError: a task with options is not called; write .using(...).enqueue(...)",
        cause="A call of a task runs its function here and now, where options mean nothing.",
        remedy="Write `send.using(delay=60).enqueue(7)`.",
    ),
    Mistake(
        code="send.using(run_at=datetime(2030, 1, 1)).enqueue(7)",
        says="ConfigError: run_at datetime.datetime(2030, 1, 1, 0, 0) has no time zone; "
        "use datetime.now(timezone.utc), or .astimezone()",
        cause="Without a time zone, nobody can tell which moment is meant.",
        remedy="Write `datetime(2030, 1, 1, tzinfo=timezone.utc)`.",
    ),
    Mistake(
        code='send.using(run_at="tomorrow").enqueue(7)',
        says="ConfigError: run_at must be an aware datetime, got 'tomorrow'; "
        "write datetime.now(timezone.utc) + timedelta(hours=1)",
        cause="A moment is a datetime with a time zone: no text, and no number.",
        remedy="Make a datetime, or use `delay=seconds`.",
    ),
    Mistake(
        code='send.using(priority="high").enqueue(7)',
        says="ConfigError: priority must be a whole number from 0 to 9, got 'high'",
        cause="Priorities are numbers. 0 comes first, 5 is the default.",
        remedy="Write `priority=0`.",
    ),
    Mistake(
        code='send.using(tags="vip").enqueue(7)',
        says="ConfigError: tags must be a list of strings, got 'vip'; write ['vip']",
        cause="A string is a list of its letters.",
        remedy='Write `tags=["vip"]`.',
    ),
    Mistake(
        code="send.using(unique_key=7).enqueue(7)",
        says='ConfigError: unique_key must be a non-empty string, got 7; write "7"',
        cause="A key is a text. It is the same for all tasks, so that a bare number is soon taken.",
        remedy='Write `unique_key=f"send:{user_id}"`.',
    ),
    Mistake(
        code='send.using(unique=pgqueue.Unique(by=["user"])).enqueue(7)',
        says='ConfigError: unique: by names "user", which this call of the task "send" does not '
        "give; its arguments are user_id",
        cause="`by` names arguments that make the key. Each of them must be given in the call.",
        remedy='Write `by=["user_id"]`. In `@app.task(unique=...)` it is checked at once.',
    ),
    Mistake(
        code="app.enqueue(send, 7)",
        says='ConfigError: a task is named by a string here, got <Task send>; write "send", or '
        "send.enqueue(...) to enqueue this one",
        cause="`app.enqueue` is for tasks whose code is not at hand.",
        remedy="Write `send.enqueue(7)`.",
    ),
    Mistake(
        code="""
@app.task(name="billing.report")
def report() -> None: ...

app.list_jobs(task=report)
""",
        says="ConfigError: a task is named by a string here, got <Task billing.report>; write "
        '"billing.report", or report.enqueue(...) to enqueue this one',
        cause="Rows carry the name of a task, and here jobs are looked for by it.",
        remedy="Write `app.list_jobs(task=report.name)`.",
    ),
    Mistake(
        code='app.enqueue("send", 7)',
        says="PayloadError: args must be a mapping of parameter names, got 7; "
        'write {"name": value}',
        cause="By name, arguments are a dict.",
        remedy='Write `app.enqueue("send", {"user_id": 7})`.',
    ),
    Mistake(
        code='app.enqueue("send", user_id=7)',
        says='ConfigError: unknown option "user_id"; an argument of the task stands in the dict of '
        'its arguments: {"user_id": ...}',
        cause="By name, arguments are a dict, and keywords are options of the job.",
        remedy='Write `app.enqueue("send", {"user_id": 7})`.',
    ),
    Mistake(
        code="app.enqueue_many([send.enqueue(7), send.enqueue(8)])",
        says="ConfigError: jobs[0] must be a job value, as task.job(...) returns, "
        "got Enqueued(...)",
        cause="`enqueue` has enqueued the job already.",
        remedy="Write `app.enqueue_many([send.job(7), send.job(8)])`.",
    ),
)

MIXED = (
    Mistake(
        code="""
async def view() -> None:
    send.enqueue(7)

await view()
""",
        says="SyncInAsync: enqueue would block the running event loop; await aenqueue instead",
        cause="A blocking call stops everything else in the event loop, so it is refused.",
        remedy="Write `await send.aenqueue(7)`, whether `send` is async or not.",
    ),
    Mistake(
        code="""
async def view() -> int:
    return send.aenqueue(7).id

await view()
""",
        says="AttributeError: 'coroutine' object has no attribute 'id'",
        cause="`aenqueue` was not awaited: nothing is enqueued. Python also warns that "
        "`coroutine 'Task.aenqueue' was never awaited`.",
        remedy="Write `(await send.aenqueue(7)).id`.",
    ),
    Mistake(
        code="""
async def test_send() -> None:
    await send.aenqueue(7)
    app.run_until_idle_sync()

await test_send()
""",
        says="SyncInAsync: run_until_idle_sync would block the running event loop; "
        "await run_until_idle instead",
        cause="The call runs an event loop of its own, and one runs here already.",
        remedy="Write `await app.run_until_idle()`.",
    ),
    Mistake(
        code="""
async def program() -> None:
    asyncio.run(Worker(app).run())

await program()
""",
        says="RuntimeError: asyncio.run() cannot be called from a running event loop",
        cause="The program runs in an event loop already.",
        remedy="Write `async with Worker(app):` around what the program does, "
        "or `await Worker(app).run()`.",
    ),
    Mistake(
        code="""
@app.task(max_attempts=1)
async def pay() -> None:
    with current_job().transaction() as tx: ...
""",
        job="pay",
        says="ConfigError: in this task, write: async with job.transaction() as tx",
        cause="In an async task the transaction is one of asyncpg.",
        remedy="Write what the message says, and `await tx.execute(...)` inside.",
    ),
    Mistake(
        code="""
import threading

@app.task(max_attempts=1)
def pay() -> None:
    found = []
    def work() -> None:
        try:
            found.append(current_job())
        except pgqueue.NotInJob as error:
            found.append(error)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    raise found[0]
""",
        job="pay",
        says="NotInJob: current_job() was called outside of a job: a worker sets it for the "
        "functions that it runs; in a unit test, call the function inside "
        "`with pgqueue.testing.running_job():`",
        cause="The code runs outside of a worker, or in a thread that the task has started itself.",
        remedy="In a test, use `running_job()`. Into a thread of yours, hand the job over, or run "
        "its function in `contextvars.copy_context()`.",
    ),
)
