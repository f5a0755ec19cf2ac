"""A script that is executed twice, as ``__main__`` and by an import, has two apps."""

from __future__ import annotations

from types import ModuleType

import pytest

from pgqueue import App
from pgqueue.worker.twins import describe_twin


def app_with(*tasks: str) -> App:
    app = App("postgresql://h/d")
    for name in tasks:

        @app.task(name=name)
        def nothing() -> None: ...

    return app


def module(name: str, file: str | None, **values: object) -> ModuleType:
    made = ModuleType(name)
    if file is not None:
        made.__file__ = file
    vars(made).update(values)
    return made


def modules(*made: ModuleType) -> dict[str, ModuleType]:
    return {each.__name__: each for each in made}


def test_it_says_which_app_has_which_tasks() -> None:
    own, imported = app_with("a"), app_with("a", "b")
    loaded = modules(
        module("__main__", "/srv/jobs.py", app=own),
        module("shop", "/srv/shop.py", app=app_with("c")),
        module("jobs", "/srv/jobs.py", app=imported),
    )
    text = describe_twin(own, loaded) or ""
    assert "/srv/jobs.py was executed twice, as __main__ and as jobs: two apps" in text
    assert "This worker serves that of __main__ (tasks a); that of jobs has tasks a, b" in text
    text = describe_twin(imported, loaded) or ""
    assert "This worker serves that of jobs (tasks a, b); that of __main__ has tasks a" in text


def test_many_tasks_are_not_all_named() -> None:
    own = app_with()
    loaded = modules(
        module("__main__", "/j.py", app=own),
        module("j", "/j.py", app=app_with(*(f"t{n}" for n in range(500)))),
    )
    text = describe_twin(own, loaded) or ""
    assert "(no tasks)" in text
    assert "t9 and 490 more" in text


@pytest.mark.parametrize(
    "others",
    [
        [],
        [module("jobs", "/srv/other.py", app=app_with("a"))],
        [module("jobs", "/srv/jobs.py")],  # its app was not made yet, or is another's
        [module("built in", None)],
    ],
)
def test_one_app_is_nothing_to_tell(others: list[ModuleType]) -> None:
    own = app_with("a")
    assert describe_twin(own, modules(module("__main__", "/srv/jobs.py", app=own), *others)) is None
    assert describe_twin(own, modules(module("__main__", None, app=own), *others)) is None
    assert describe_twin(own, modules(*others)) is None


def test_an_app_of_a_third_module_is_not_meant() -> None:
    third = app_with("a")
    loaded = modules(
        module("__main__", "/j.py", app=app_with("a")), module("j", "/j.py", app=app_with("a"))
    )
    assert describe_twin(third, loaded) is None
