"""Words of other queues, and functions that cannot be tasks: the error says what to write."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from pgqueue import App, ConfigError, PayloadError, current_job, hints
from pgqueue.cli.root import cli

app: Any = App("postgresql://nowhere.invalid/none")


@app.task
def add(a: int, b: int = 2) -> None: ...


class Mailer:
    def send(self, to: str) -> None: ...

    @classmethod
    def of(cls, to: str) -> None: ...

    @staticmethod
    def plain(to: str) -> None: ...

    def __call__(self, to: str) -> None: ...


def bound(self, to: str) -> None: ...


def generator() -> Any:
    yield 1


CALLS: dict[str, tuple[type[Exception], str, Callable[[], Any]]] = {
    "delay": (AttributeError, "write .enqueue(...), or `await", lambda: add.delay(1)),
    "apply_async": (
        AttributeError,
        "write .using(queue=..., delay=",
        lambda: add.apply_async((1,), countdown=5),
    ),
    "send": (AttributeError, "write .enqueue(...)", lambda: add.send(1)),
    "defer": (AttributeError, "write .enqueue(...)", lambda: add.defer(a=1)),
    "kiq": (AttributeError, "write .enqueue(...)", lambda: add.kiq(1)),
    "schedule": (
        AttributeError,
        "write .using(delay=seconds)",
        lambda: add.schedule((1,), delay=5),
    ),
    "signature": (AttributeError, "write .job(...)", lambda: add.s(1)),
    "request": (AttributeError, "write `job = pgqueue.current_job()`", lambda: add.request),
    "after using": (AttributeError, "write .enqueue(...)", lambda: add.using(queue="q").delay(1)),
    "no word of any queue": (AttributeError, "a task has no 'frobnicate'", lambda: add.frobnicate),
    "bind": (
        ConfigError,
        '"bind"; the function asks for its job: job = pgqueue.current_job()',
        lambda: app.task(bind=True),
    ),
    "autoretry_for": (
        ConfigError,
        'takes no "autoretry_for"; every error is tried again',
        lambda: app.task(autoretry_for=(OSError,)),
    ),
    "max_retries": (
        ConfigError,
        "max_attempts=N, which counts the first",
        lambda: app.task(max_retries=3),
    ),
    "cron": (ConfigError, "app.schedule", lambda: app.task(cron="* * * * *")),
    "time_limit": (
        ConfigError,
        'takes no "time_limit"; timeout=seconds',
        lambda: app.task(time_limit=5),
    ),
    "rate_limit": (
        ConfigError,
        'takes no "rate_limit"; flow=pgqueue.Flow("name", rate="60/min")',
        lambda: app.task(rate_limit="60/m"),
    ),
    "concurrency_limit": (
        ConfigError,
        'flow=pgqueue.Flow("name", concurrency=1)',
        lambda: app.task(concurrency_limit=1),
    ),
    "partition_key": (
        ConfigError,
        'flow=pgqueue.Flow("name", key="parameter", key_concurrency=1)',
        lambda: app.task(partition_key="a"),
    ),
    "group": (
        ConfigError,
        'using() takes no "group"; flow_key="...", for a task with flow=',
        lambda: add.using(group="a"),
    ),
    "an option of a job": (
        ConfigError,
        "task.using(delay=...).enqueue(...)",
        lambda: app.task(delay=5),
    ),
    "a misspelt option": (
        ConfigError,
        'no "priorty"; did you mean "priority"?',
        lambda: app.task(priorty=1),
    ),
    "several at once": (ConfigError, '"bind"', lambda: app.task(name="x", bind=True, queue="q")),
    "countdown": (
        ConfigError,
        'using() takes no "countdown"; delay=seconds',
        lambda: add.using(countdown=5),
    ),
    "eta": (ConfigError, 'no "eta"; run_at=moment', lambda: add.using(eta=None)),
    "job_id": (
        ConfigError,
        'unique_key="..."; pgqueue gives the ids',
        lambda: add.using(job_id="x"),
    ),
    "session": (ConfigError, "connection=session", lambda: add.using(session=object())),
    "misspelt in using": (
        ConfigError,
        'no "prority"; did you mean "priority"?',
        lambda: add.using(prority=1),
    ),
    "by name": (
        ConfigError,
        'unknown option "countdown"; delay=seconds',
        lambda: app.job("add", {"a": 1}, countdown=5),
    ),
    "an option among the arguments": (
        PayloadError,
        "an option of the job is given before: .using(delay=...).enqueue(...)",
        lambda: add.enqueue(1, delay=5),
    ),
    "a connection among them": (
        PayloadError,
        ".using(connection=...).enqueue(...)",
        lambda: add.enqueue(1, connection=object()),
    ),
    "countdown among them": (
        PayloadError,
        "option of the job, .using(...): delay=seconds",
        lambda: add.enqueue(1, countdown=5),
    ),
    "a class": (
        ConfigError,
        "Mailer is a class, and a job only calls a function",
        lambda: app.task(Mailer),
    ),
    "a method": (
        ConfigError,
        "Mailer.send is a method, and a job has no object to call it on",
        lambda: app.task(Mailer.send),
    ),
    "a method in its class": (
        ConfigError,
        "Inner.send is a method",
        lambda: _decorated_in_a_class(),
    ),
    "a classmethod": (
        ConfigError,
        "Mailer.of is a classmethod",
        lambda: app.task(vars(Mailer)["of"]),
    ),
    "self": (
        ConfigError,
        "bound has a parameter 'self', which no job fills; the function asks",
        lambda: app.task(bound),
    ),
    "an object": (
        ConfigError,
        "has no name of its own; give @app.task(name=...)",
        lambda: app.task(Mailer()),
    ),
    "a lambda": (ConfigError, "has no name of its own", lambda: app.task(lambda: None)),
    "a generator": (
        ConfigError,
        "generator is a generator; a task must return",
        lambda: app.task(generator),
    ),
    "a name": (
        ConfigError,
        """got 'mail'; write @app.task(name="mail")""",
        lambda: app.task("mail"),
    ),
    "what is called already": (
        ConfigError,
        "a task must be a function, got None",
        lambda: app.task()(None),
    ),
    "a task": (ConfigError, "add is a task already", lambda: app.task(add)),
}


def _decorated_in_a_class() -> None:
    class Inner:
        @app.task
        def send(self, to: str) -> None: ...


@pytest.mark.parametrize("what", CALLS)
def test_the_error_says_what_to_write(what: str) -> None:
    kind, said, call = CALLS[what]
    with pytest.raises(kind) as caught:
        call()
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_can_be_called_with_arguments_alone_may_be_a_task() -> None:
    own: Any = App("postgresql://nowhere.invalid/none")
    for name, function in {
        "of an object": Mailer().send,
        "static": Mailer.plain,
        "staticmethod": vars(Mailer)["plain"],
        "of a class": Mailer.of,
        "callable": Mailer(),
        "partial": functools.partial(bound, None),
    }.items():
        assert own.task(name=name)(function).job("x").args == '{"to":"x"}'


def test_a_task_has_no_attribute_that_tools_look_for() -> None:
    for task in (add, add.using(queue="q")):
        assert not hasattr(task, "__len__")
        assert not hasattr(task, "delay")
        assert getattr(task, "asend", current_job) is current_job


def test_what_hints_name_exists() -> None:
    """Commands, and methods of an app: a hint must not send anybody to what is not there."""
    said = Path(hints.__file__).read_text()
    commands = set(re.findall(r"(?:: |, or )pgqueue ([a-z]+)\b", said))
    methods = set(re.findall(r"\bapp\.([a-z_]+)\(", said))
    assert commands >= {"worker", "schedules", "status"}
    assert commands <= set(cli.list_commands(click.Context(cli)))
    assert methods >= {"schedule", "enqueue", "get_job"}
    assert [name for name in methods if not hasattr(App, name)] == []


@pytest.mark.parametrize("name", ["periodic_task", "add_periodic_task", "on_after_configure"])
def test_other_ways_to_a_schedule_lead_to_ours(name: str) -> None:
    with pytest.raises(AttributeError, match=r"write app\.schedule\("):
        getattr(app, name)
