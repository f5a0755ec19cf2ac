"""What is said of a module that cannot be imported points into the user's file."""

from __future__ import annotations

from traceback import FrameSummary

from pgqueue.worker import import_failure
from pgqueue.worker.import_failure import describe_failure, user_frame

OURS = f"{import_failure.OURS}/config.py"


def frames(*files: str) -> list[FrameSummary]:
    return [FrameSummary(file, n + 1, "f", lookup_line=False) for n, file in enumerate(files)]


def test_the_innermost_frame_of_the_users_own_code_is_shown() -> None:
    chain = ("/py/importlib/__init__.py", "<frozen importlib._bootstrap>", "/shop/jobs.py",
             "/shop/models.py", "/py/site-packages/orm/base.py", OURS)  # fmt: skip
    found = user_frame(frames(*chain), ["/py/"])
    assert found is not None
    assert (found.filename, found.lineno) == ("/shop/models.py", 4)


def test_an_app_that_is_installed_is_shown_by_its_own_frame() -> None:
    found = user_frame(frames("/py/importlib/__init__.py", "/py/site/shop.py", OURS), ["/py/"])
    assert found is not None
    assert found.filename == "/py/site/shop.py"


def test_with_no_frame_at_all_only_the_error_is_said() -> None:
    assert user_frame(frames(OURS), []) is None
    assert describe_failure("shop", ValueError("no")) == (
        'module "shop" cannot be imported: ValueError: no'
    )


def test_a_syntax_error_names_the_file_the_line_and_its_text() -> None:
    try:
        compile("x = 1\ndef f(:\n", "/shop/jobs.py", "exec")
    except SyntaxError as exc:
        said = describe_failure("shop.jobs", exc)
    assert said.startswith('module "shop.jobs" cannot be imported: SyntaxError: invalid syntax')
    assert said.endswith("(/shop/jobs.py, line 2: def f(:)")
