"""Settings of a worker, what a job may say, and operations by name."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake

__all__ = ["WORKERS"]

WORKERS = (
    Mistake(
        code="Worker(app, leese=30)",
        says='ConfigError: unknown setting "leese"; did you mean "lease"?',
        cause="A worker has no such setting.",
        remedy="Correct the name. `WorkerOptions` lists all, and type checkers know them.",
    ),
    Mistake(
        code="Worker(app, processes=4)",
        says='ConfigError: unknown setting "processes"; a Worker is one process; for more: '
        "pgqueue worker MODULE:APP --processes N",
        cause="A Worker runs in your event loop. The command starts processes.",
        remedy="Use the command, or `concurrency=` for more jobs at a time in this process.",
    ),
    Mistake(
        code='Worker(app, queues="mail")',
        says="ConfigError: queues must be a list of names, got the string 'mail'; use [\"mail\"]",
        cause="A string is a list of its letters.",
        remedy='Write `queues=["mail"]`.',
    ),
    Mistake(
        code="Worker(app, heartbeat=10)",
        says="ConfigError: heartbeat must be at most a third of lease (15 s), got 10; "
        "3.75 would do",
        cause="A lease has to outlast two heartbeats that fail.",
        remedy="Leave `heartbeat` out: it follows `lease`.",
    ),
    Mistake(
        code='Worker(Client("postgresql://localhost/shop"))',
        says="ConfigError: a worker needs an App, which knows the tasks; got a Client",
        cause="A Client enqueues by name. It has no functions to run.",
        remedy="Pass the App whose tasks are to run.",
    ),
    Mistake(
        code="""
app = App(os.environ["POOLED"])

@app.task
def pay() -> None: ...

await Worker(app).run()
""",
        says="Unreachable: cannot connect to ...: unsupported startup parameter: "
        "tcp_keepalives_idle: the dsn leads through a pooler; App(dsn, pgbouncer=True) is for "
        'PgBouncer in transaction mode, pgbouncer="session" for its session mode',
        cause="PgBouncer refuses settings of a session. Time does not change that, so that the "
        "worker ends and does not wait.",
        remedy="Say in which mode it runs: `App(dsn, pgbouncer=True)`.",
    ),
    Mistake(
        code="await Worker(App()).run()",
        says="ConfigError: this app has no tasks; are the modules that define them imported?",
        cause="Tasks exist once the module with `@app.task` was imported.",
        remedy="Import these modules where the worker starts, or name one of them: "
        "`pgqueue worker shop.jobs:app`.",
    ),
    Mistake(
        code="""
@app.task(max_attempts=1)
def sync_stock() -> None:
    current_job().retry(countdown=60)
""",
        job="sync_stock",
        says="AttributeError: 'RunningJob' object has no attribute 'retry'",
        cause="The word is that of another queue. A task chooses its outcome by what it raises.",
        remedy="Write `raise pgqueue.Retry(delay=60)`. See also `Snooze` and `Discard`.",
    ),
    Mistake(
        code="""
@app.task(max_attempts=1)
def sync_stock() -> None:
    raise pgqueue.Retry(60)
""",
        job="sync_stock",
        says="ConfigError: reason must be a string, got 60; write Retry(delay=...)",
        cause="What stands first in `Retry` is the reason, which is kept with the errors.",
        remedy="Write `raise pgqueue.Retry(delay=60)`.",
    ),
    Mistake(
        code="Backoff(give_up_on=ValueError)",
        says="ConfigError: give_up_on must be a tuple of exception types, got <class "
        "'ValueError'>; write (ValueError,)",
        cause="There may be several types, so they are a tuple.",
        remedy="Write `give_up_on=(ValueError,)`.",
    ),
    Mistake(
        code='app.list_jobs(state="failed")',
        says="ConfigError: state must be one of scheduled, blocked, pending, running, completed, "
        "cancelled, dead; got 'failed'",
        cause="A job that failed is scheduled for its next attempt, or dead after its last.",
        remedy='Ask for `state="dead"`.',
    ),
)
