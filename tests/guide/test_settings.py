"""docs/guide/settings.md has every setting, with the default that the code has, and a reason."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from click import Option

import pgqueue
from pgqueue.cli.worker import worker
from pgqueue.config import WorkerSettings
from pgqueue.hints import OPTIONS
from pgqueue.retry import Backoff

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "settings.md").read_text()
# Options of the command that are no settings of a worker: which app and database it is about.
CONNECTION = {"app", "dsn", "help", "schema", "target"}


class Row(NamedTuple):
    default: str
    unit: str
    meaning: str
    why: str


def table(title: str) -> dict[str, Row]:
    """The rows of the table below a heading, by name."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = re.findall(
        r"^\| `(.+?)` \| (.*?) ?\| (.*?) ?\| (.+?) \| (.+) \|$", section, re.MULTILINE
    )
    return {name: Row(*cells) for name, *cells in rows}


JOB, TASK, FLOW, APP, WORKER, COMMAND = map(
    table, ("A job", "A task", "A flow", "An app", "A worker", "The command line")
)


def shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case ():
            return "the tasks'"
        case bool() | Backoff():
            return str(value)
        case str():
            return f"`{value}`"
        case float():
            return f"{value:,.0f}" if value >= 1 else f"{value:g}"
        case _:
            return f"{value:,}"


def defaults(function: Callable[..., object], known: Iterable[str]) -> dict[str, object]:
    """The keywords of a function, with their defaults."""
    signature = inspect.signature(function).parameters
    return {name: one.default for name, one in signature.items() if name in known}


def test_a_jobs_options_are_those_of_using() -> None:
    assert sorted(JOB) == sorted(OPTIONS)
    of_the_task = {name for name, row in JOB.items() if row.default == "the task's"}
    assert of_the_task == set(JOB) & set(TASK)


def test_a_tasks_options_are_those_of_the_decorator() -> None:
    given = inspect.signature(pgqueue.App.task).parameters.keys() - {"self", "function"}
    assert set(TASK) == given
    code = defaults(pgqueue.App.task, TASK) | {"retry": Backoff(), "name": None, "aliases": None}
    page = {name: row.default for name, row in TASK.items()}
    assert page.pop("name") == "the function's"
    assert page.pop("retry") == "`Backoff()`"

    @pgqueue.App().task(batch=2)
    def of_many(items: list[int]) -> None: ...

    assert page.pop("batch_wait") == shown(of_many.batch_wait)
    assert page == {name: shown(code[name]) for name in page}


def test_a_flows_limits_are_those_of_the_code() -> None:
    fields = {f.name: f for f in dataclasses.fields(pgqueue.Flow)}
    assert list(FLOW) == [name for name in fields if name != "name"]
    page = {name: row.default for name, row in FLOW.items()}
    assert [page.pop(name) for name in ("burst", "key_burst", "on_dead")] == ["1", "1", "`halt`"]
    assert page == {name: shown(fields[name].default) for name in page}


def test_an_apps_arguments_are_those_of_the_constructor() -> None:
    given = inspect.signature(pgqueue.App).parameters.keys()
    assert set(APP) == given
    ours = {"around", "max_transactions"}
    assert given - inspect.signature(pgqueue.Client).parameters.keys() == ours
    code = defaults(pgqueue.App, APP) | {"around": None}
    page = {name: row.default for name, row in APP.items()}
    assert page.pop("dsn") == "`PGQUEUE_DSN`"
    assert page.pop("schema") == "`PGQUEUE_SCHEMA`, `pgqueue`"
    assert page == {name: shown(code[name]) for name in page}


def test_a_workers_settings_are_those_of_the_code() -> None:
    code = {
        f.name: (shown(f.default), f.metadata["about"]) for f in dataclasses.fields(WorkerSettings)
    }
    assert {name: (row.default, row.meaning) for name, row in WORKER.items()} == code


@pytest.mark.parametrize("setting", dataclasses.fields(WorkerSettings), ids=lambda f: f.name)
def test_what_is_a_span_has_its_unit(setting: dataclasses.Field[object]) -> None:
    assert (WORKER[setting.name].unit == "seconds") == (setting.type == "float")


def test_the_commands_options_are_here_or_are_a_workers() -> None:
    settings = {"queues", *WORKER}
    options = [one for one in worker.params if isinstance(one, Option) and one.expose_value]
    names = {str(one.name): one for one in options if one.name not in CONNECTION | settings}
    assert set(COMMAND) == {f"--{name.replace('_', '-')}" for name in names}
    for name, option in names.items():
        if isinstance(option.default, str | int) and not option.is_flag:
            assert COMMAND[f"--{name.replace('_', '-')}"].default == shown(option.default)
    assert settings - {one.name for one in options} == {"max_jobs"}


def test_each_setting_has_a_meaning_and_a_reason() -> None:
    for row in (row for rows in (JOB, TASK, FLOW, APP, WORKER, COMMAND) for row in rows.values()):
        assert row.default, row
        assert row.meaning, row
        assert row.why, row


def test_defaults_that_only_the_text_says() -> None:
    backoff = Backoff()
    assert [backoff.delay(n, lambda: 0.5) for n in (1, 2, 3)] == [1, 2, 4]
    assert (backoff.cap, backoff.jitter) == (3600, 0.2)
    waits = (backoff.delay(n, lambda: 0.5) for n in range(1, 25))
    assert 12 <= sum(waits) / 3600 <= 13.5
