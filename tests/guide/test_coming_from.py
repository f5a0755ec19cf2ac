"""The tables of docs/guide/coming-from: what they say to write here exists, with these keywords."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import pgqueue
from pgqueue.cli.root import cli
from pgqueue.running import RunningJob
from pgqueue.task import BoundTask, Task
from pgqueue.testing import Kit

HOME = Path(__file__).parents[2] / "docs" / "guide" / "coming-from"
PAGES = sorted(HOME.glob("*.md"))
# What the names at the beginning of an expression stand for, and what their methods return.
NAMES: dict[str, object] = {
    "app": pgqueue.App,
    "job": RunningJob,
    "pgq": Kit,
    "pgqueue": pgqueue,
    "task": Task,
}
RETURNS: dict[object, object] = {
    Task.using: BoundTask,
    pgqueue.App: pgqueue.App,
    pgqueue.Worker: pgqueue.Worker,
    pgqueue.current_job: RunningJob,
}
TITLES = ["Before and after", "Words", "What means something else"]


def rows(page: Path, title: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = page.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def said(page: Path) -> list[str]:
    """Every piece of code in the last column of both tables."""
    cells = [row[-1] for title in TITLES[1:] for row in rows(page, title)]
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


def resolve(node: ast.expr) -> object | None:
    """What an expression stands for; None for names of the reader's own, and what they hold."""
    match node:
        case ast.Name(name):
            return NAMES.get(name)
        case ast.Attribute(value, name):
            owner = resolve(value)
            assert owner is not pgqueue or name in pgqueue.__all__, name
            return None if owner is None else getattr(owner, name)
        case ast.Call(function, _, keywords):
            called = resolve(function)
            if callable(called):
                check_keywords(called, keywords)
            return RETURNS.get(called)
        case _:
            return None


def check_keywords(called: Callable[..., object], keywords: list[ast.keyword]) -> None:
    known = inspect.signature(called).parameters
    of_the_task = any(one.annotation == "P.kwargs" for one in known.values())
    of_options = called is pgqueue.App.schedule
    options = pgqueue.ScheduleOptions.__annotations__ if of_options else {}
    for keyword in keywords:
        assert of_the_task or keyword.arg in known or keyword.arg in options, keyword.arg


def check_python(code: str) -> None:
    tree = ast.parse(code.removeprefix("@"))
    named = [one for one in ast.walk(tree) if isinstance(one, ast.Name) and one.id in NAMES]
    assert named, "names nothing of pgqueue"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Call):
            resolve(node)


def check_command(code: str) -> None:
    group: click.Command = cli
    options: set[str] = set()
    for word in shlex.split(code)[1:]:
        if word.startswith("-"):
            assert word in options, word
        elif isinstance(group, click.Group):
            command = group.get_command(click.Context(group), word)
            assert command is not None, word
            group = command
            options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


def check(code: str) -> None:
    if code.startswith("pgqueue "):
        check_command(code)
    else:
        check_python(code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_tables_name_exists(page: Path) -> None:
    codes = said(page)
    assert len(codes) > 20
    for code in codes:
        try:
            check(code)
        except Exception as error:
            raise AssertionError(f"{page.name}: `{code}`: {error!r}") from error


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page_has_a_program_and_two_tables(page: Path) -> None:
    titles = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert [title for title in titles if title in TITLES] == TITLES
    assert all(len(row) == 2 and all(row) for row in rows(page, "Words"))
    assert all(len(row) == 3 and all(row) for row in rows(page, "What means something else"))
    assert page.read_text().count("\n```\n# tasks.py\n") == 1


def test_the_seven_systems_have_a_page() -> None:
    systems = ["apscheduler", "arq", "celery", "dramatiq", "huey", "procrastinate", "rq"]
    assert [page.stem for page in PAGES] == systems


@pytest.mark.parametrize(
    "code",
    ["task.defer(1)", "task.using(countdown=1)", "task.using(delay=1).send(1)", "queue.put(1)",
     "pgqueue.Backoff(minimum=1)", "@app.task(max_retries=1)", "job.retries", "pgqueue.retry",
     "pgqueue jobs purge", "pgqueue worker --cores 8", "pgqueue.App(broker=1)"],
)  # fmt: skip
def test_what_does_not_exist_is_found(code: str) -> None:
    with pytest.raises((AssertionError, AttributeError)):
        check(code)
