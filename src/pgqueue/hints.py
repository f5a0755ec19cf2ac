"""What other queues call a thing, and what to write here: for errors at the call that is wrong."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any, ParamSpec, TypeVar

from pgqueue.errors import ConfigError, nearest

__all__ = [
    "JOB",
    "OPTIONS",
    "among_arguments",
    "command_for",
    "hinting",
    "no_app_attribute",
    "no_attribute",
    "no_call",
    "option_for",
    "setting_for",
    "word_for",
]

P = ParamSpec("P")
R = TypeVar("R")

_NOW = ".enqueue(...), or `await task.aenqueue(...)` from async code"
_LATER = ".using(delay=seconds).enqueue(...), or .using(run_at=moment)"
_ATTRIBUTES = {
    **dict.fromkeys(
        ("delay", "send", "defer", "defer_async", "kiq", "submit", "push", "enqueue_sync"), _NOW
    ),
    **dict.fromkeys(("delay_async", "asend", "adelay", "enqueue_async"), ".aenqueue(...)"),
    **dict.fromkeys(
        ("apply_async", "send_with_options", "configure", "options_for", "kicker", "with_options"),
        ".using(queue=..., delay=..., priority=...).enqueue(...)",
    ),
    **dict.fromkeys(("schedule", "enqueue_in", "enqueue_at", "apply_at", "eta"), _LATER),
    **dict.fromkeys(("s", "si", "signature", "subtask", "message"), ".job(...), a job as a value"),
    **dict.fromkeys(
        ("map", "starmap", "chunks", "batch_defer", "enqueue_many"),
        ".job(...) for each, and app.enqueue_many(jobs) for all",
    ),
    "apply": "the call itself, task(...): it runs the function here",
    "request": "`job = pgqueue.current_job()` in the function",
    "call_local": "the call itself, task(...)",
}

JOB = "the function asks for its job: job = pgqueue.current_job()"
_FLOW = 'flow=pgqueue.Flow("name"'
_SCHEDULE = 'app.schedule("name", task, cron="30 2 * * *") or every=seconds'
_RETRY = "retry=pgqueue.Backoff(base=1, factor=2, cap=3600)"
_DECORATOR = {
    **dict.fromkeys(("bind", "pass_context", "context", "pass_job"), JOB),
    **dict.fromkeys(
        ("autoretry_for", "retry_for", "retry_on", "retry_when", "throws", "dont_autoretry_for"),
        "every error is tried again; say which not with retry=pgqueue.Backoff(give_up_on=(...,)), "
        "or which alone with only_on=(...,)",
    ),
    **dict.fromkeys(
        ("retry_backoff", "retry_backoff_max", "retry_jitter", "retry_kwargs", "retry_strategy"),
        _RETRY,
    ),
    **dict.fromkeys(("default_retry_delay", "retry_delay", "min_backoff", "max_backoff"), _RETRY),
    **dict.fromkeys(
        ("max_retries", "retries", "max_tries", "tries"),
        "max_attempts=N, which counts the first attempt as well",
    ),
    **dict.fromkeys(
        ("time_limit", "soft_time_limit", "job_timeout", "max_runtime"), "timeout=seconds"
    ),
    **dict.fromkeys(
        ("cron", "crontab", "periodic", "schedule", "every", "interval"),
        f"{_SCHEDULE}: a task has no times",
    ),
    **dict.fromkeys(("queue_name", "routing_key", "exchange", "actor_queue"), 'queue="name"'),
    **dict.fromkeys(
        ("rate_limit", "rate", "rates", "limiter"),
        f'{_FLOW}, rate="60/min")',
    ),
    **dict.fromkeys(
        ("concurrency", "concurrency_limit", "max_concurrency", "global_limit"),
        f"{_FLOW}, concurrency=1)",
    ),
    **dict.fromkeys(
        ("concurrency_key", "partition_key", "group", "group_id", "partition", "limits_key"),
        f'{_FLOW}, key="parameter", key_concurrency=1)',
    ),
    **dict.fromkeys(("task_name", "actor_name"), 'name="name"'),
    **dict.fromkeys(
        ("acks_late", "reject_on_worker_lost", "acks_on_failure_or_timeout"),
        "leave it out: a job is over when its outcome is written, and runs again after a crash",
    ),
    **dict.fromkeys(
        ("ignore_result", "result_ttl", "store_results", "keep_result", "save_result"),
        "leave it out: what a task returns is not kept",
    ),
    **dict.fromkeys(
        ("lock", "queueing_lock", "singleton", "lock_task", "unique_by", "dedupe"),
        'unique=pgqueue.Unique(by=["parameter"]), or task.using(unique_key="...").enqueue(...)',
    ),
    **dict.fromkeys(
        ("delay", "run_at", "unique_key", "tags", "metadata", "flow_key", "weight"),
        "it belongs to a job, not to its task: task.using({}=...).enqueue(...)",
    ),
}
OPTIONS = (
    "connection", "delay", "expires", "flow", "flow_key", "max_attempts", "metadata", "priority",
    "queue", "run_at", "tags", "timeout", "unique", "unique_key", "wait", "weight",
)  # fmt: skip
_USING = {
    **dict.fromkeys(("expire", "max_age", "ttl", "start_before"), "expires=seconds"),
    "countdown": "delay=seconds",
    "delay_s": "delay=seconds",
    "defer_by": "delay=seconds",
    "schedule_in": "delay=seconds",
    "eta": "run_at=moment",
    "at": "run_at=moment",
    "schedule_at": "run_at=moment",
    "defer_until": "run_at=moment",
    "queue_name": 'queue="name"',
    "task_id": 'unique_key="..."; pgqueue gives the ids',
    "job_id": 'unique_key="..."; pgqueue gives the ids',
    "queueing_lock": 'unique_key="..."',
    "lock": 'unique_key="..."',
    "debounce": "unique=pgqueue.Debounce(seconds)",
    "throttle": "unique=pgqueue.Throttle(seconds)",
    **dict.fromkeys(
        ("concurrency_key", "partition_key", "group", "group_id", "partition", "fairness_key"),
        'flow_key="...", for a task with flow=pgqueue.Flow("name", ...)',
    ),
    **dict.fromkeys(("cost", "tokens"), "weight=N"),
    "max_retries": "max_attempts=N, which counts the first attempt as well",
    "retries": "max_attempts=N, which counts the first attempt as well",
    "time_limit": "timeout=seconds",
    "session": "connection=session",
    "conn": "connection=conn",
    "using": "connection=django.db.connections[alias]",
    "retry": "@app.task(retry=...): the policy belongs to the task",
    "args": "the arguments in .enqueue(...)",
    "kwargs": "the arguments in .enqueue(...)",
}


_APP = {
    **dict.fromkeys(
        ("url", "database_url", "conninfo", "broker", "broker_url", "connector", "backend"),
        'the dsn comes first: App("postgresql://...")',
    ),
    **dict.fromkeys(("tasks", "include", "imports"), "import the modules of the tasks yourself"),
    **dict.fromkeys(("session", "conn"), "connection=function, which returns the connection"),
}
_SETTINGS = {
    **dict.fromkeys(
        ("processes", "workers", "num_workers", "pool"),
        "a Worker is one process; for more: pgqueue worker MODULE:APP --processes N",
    ),
    **dict.fromkeys(
        ("max_tasks_per_child", "max_tasks", "burst"),
        "max_jobs=N, or await worker.run(until_idle=True)",
    ),
    **dict.fromkeys(("visibility_timeout", "job_timeout"), "lease=seconds; timeout= is a task's"),
}
_OF_APP = {
    **dict.fromkeys(
        ("conf", "config_from_object", "config_from_envvar", "configure"),
        "settings are arguments: App(dsn, ...), Worker(app, ...), or options of pgqueue worker",
    ),
    **dict.fromkeys(("send_task", "configure_task", "send"), 'write app.enqueue("name", {...})'),
    **dict.fromkeys(
        ("autodiscover_tasks", "import_module", "discover"),
        "import the modules of the tasks yourself",
    ),
    **dict.fromkeys(
        ("start", "run", "worker_main", "run_worker", "run_worker_async", "work"),
        "run: pgqueue worker MODULE:APP; or await pgqueue.Worker(app).run()",
    ),
    **dict.fromkeys(
        ("periodic_task", "add_periodic_task", "on_after_configure", "periodic", "cron"),
        f"write {_SCHEDULE}",
    ),
    **dict.fromkeys(("shared_task", "actor"), "write @app.task"),
    "AsyncResult": "write app.get_job(id)",
}
_COMMANDS = {
    **dict.fromkeys(
        ("beat", "scheduler", "cron"),
        "workers fire the schedules, no other process does; write: pgqueue schedules list",
    ),
    **dict.fromkeys(("flower", "monitor", "events", "dashboard"), "write: pgqueue status --watch"),
    "inspect": "write: pgqueue jobs list --state running",
    "purge": "write: pgqueue jobs cancel --all, or pgqueue dead purge",
}
_SHORT = {
    "-h": "--help",
    "-l": "--log-level",
    "-Q": "--queue",
    "-q": "--queue",
    "-c": "--concurrency",
}
_PLACES = {
    "@app.task()": (_DECORATOR, "; an argument of the function is given to enqueue(...)"),
    "using()": (_USING, "; an argument of the task is given to .enqueue(...)"),
    "App()": (_APP, ""),
}


def no_attribute(task: object, name: str) -> Any:
    """Raise AttributeError, with what to write in place of another queue's word."""
    hint = f"; write {_ATTRIBUTES[name]}" if name in _ATTRIBUTES else ""
    raise AttributeError(f"a task has no {name!r}{hint}", name=name, obj=task)


def no_app_attribute(app: object, name: str) -> Any:
    """Raise AttributeError where an app is asked for what another queue's has."""
    hint = f"; {_OF_APP[name]}" if name in _OF_APP else ""
    said = f"{type(app).__name__!r} object has no attribute {name!r}{hint}"
    raise AttributeError(said, name=name, obj=app)


def no_call(*_: object, **__: object) -> Any:
    """Raise TypeError where a task with options is called: that would run it here and now."""
    raise TypeError("a task with options is not called; write .using(...).enqueue(...)")


def command_for(name: str) -> str:
    """What to write in place of another queue's command; empty if none is known."""
    return f"; {_COMMANDS[name]}" if name in _COMMANDS else ""


def option_for(name: str, known: Collection[str]) -> str:
    """What to write in place of a short option; empty if the command has no long one for it."""
    long = _SHORT.get(name)
    return f"; write {long}" if long in known else ""


def word_for(name: str) -> str:
    """What to write in place of another queue's option of a job; empty if none is known."""
    return f"; {_USING[name]}" if name in _USING else ""


def setting_for(name: str) -> str:
    """What to write in place of another queue's setting of a worker; empty if none is known."""
    return f"; {_SETTINGS[name]}" if name in _SETTINGS else ""


def among_arguments(name: str) -> str:
    """What to write where an option of the job stands among the arguments of its task."""
    if name in OPTIONS:
        return f"; an option of the job is given before: .using({name}=...).enqueue(...)"
    return f"; for an option of the job, .using(...): {_USING[name]}" if name in _USING else ""


def hinting(place: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function refuse an unknown keyword with what to write; ``place``: what it is called."""
    words, otherwise = _PLACES[place]

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        known = inspect.signature(function).parameters.keys()

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kwargs.keys() <= known:
                name = next(name for name in kwargs if name not in known)
                hint = f"; {words[name].format(name)}" if name in words else nearest(name, known)
                raise ConfigError(f'{place} takes no "{name}"{hint or otherwise}')
            return function(*args, **kwargs)

        return call

    return wrap
