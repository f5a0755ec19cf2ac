"""What ``import pgqueue`` gives: the public names, and every type that their annotations name."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pgqueue

# What nobody annotates: how a worker waits (for tests of pgqueue), and what only pgqueue makes.
INTERNAL = {
    "Base", "Callers", "Completion", "Enqueuer", "Failure", "Guard", "Machines", "RunningJobs",
    "SlotJobs", "Spec", "Timings", "Transactions", "Within",
}  # fmt: skip


def test_dir_shows_the_public_names_and_nothing_else() -> None:
    assert dir(pgqueue) == sorted(pgqueue.__all__)
    for name in pgqueue.__all__:
        assert getattr(pgqueue, name) is not None


def test_the_types_of_annotations_can_be_imported_from_the_package() -> None:
    used: set[str] = set()
    for name in pgqueue.__all__:
        if inspect.isclass(value := getattr(pgqueue, name)):
            used |= _own_types(value)
    assert used - INTERNAL - set(pgqueue.__all__) == set()


def _own_types(cls: type) -> set[str]:
    """Classes of pgqueue that the annotations of a class's public methods and fields name."""
    found: set[str] = set()
    texts = [str(text) for text in inspect.get_annotations(cls).values()]
    for name, member in inspect.getmembers(cls):
        member = member.fget if isinstance(member, property) else member
        if inspect.isfunction(member) and (name == "__init__" or not name.startswith("_")):
            texts += [str(text) for text in inspect.get_annotations(member).values()]
    for word in re.findall(r"\b[A-Z]\w+", " ".join(texts)):
        module = _home_of(cls, word)
        if module.startswith("pgqueue."):
            found.add(word)
    return found


def _home_of(cls: type, word: str) -> str:
    for base in cls.__mro__:
        holder = inspect.getmodule(base)
        value = getattr(holder, word, None)
        if inspect.isclass(value):
            return value.__module__
    return ""


def test_importing_the_package_loads_no_driver_and_no_worker() -> None:
    code = "import sys, pgqueue; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"asyncpg", "click", "django", "flask", "psycopg", "pydantic", "rich", "sqlalchemy"}
    assert "pgqueue" in said
    assert heavy & set(said) == set()
