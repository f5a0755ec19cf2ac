"""What cannot be a task, by its shape: a class, a method, a generator, a shared default."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from pgqueue.errors import shown
from pgqueue.hints import JOB

__all__ = ["fault_of", "where"]


def where(function: object) -> str:
    """Name a function with its module, for an error about it."""
    module = getattr(function, "__module__", "?")
    return f"{module}.{getattr(function, '__qualname__', repr(function))}"


def fault_of(function: object) -> str | None:
    """Say what is wrong with what is to be a task, by its shape; None if it may be one."""
    name = where(function)
    if isinstance(function, str):
        return f'a task must be a function, got {function!r}; write @app.task(name="{function}")'
    if isinstance(function, classmethod):
        return (
            f"{name} is a classmethod, and a job has no class to call it on; "
            "make it a function of the module"
        )
    if not callable(function):
        return f"a task must be a function, got {function!r}"
    if inspect.isclass(function):
        return (
            f"{name} is a class, and a job only calls a function; write a function that "
            "makes one and calls it"
        )
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return f"{name} is a generator; a task must return, not yield"
    return _method(function, name) or _shared_default(function, name)


def _method(function: Callable[..., object], name: str) -> str | None:
    holder = getattr(function, "__qualname__", "").rpartition(".")[0].rpartition(".")[2]
    code = None if inspect.ismethod(function) else getattr(function, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    if names[:1] == ("self",) and holder not in ("", "<locals>"):
        return (
            f"{name} is a method, and a job has no object to call it on; make it a "
            f"function of the module, or a task of one object's: "
            f"app.task({holder}().{function.__name__}, ...)"
        )
    if names[:1] == ("self",) and "self" not in getattr(function, "__annotations__", ()):
        return f"{name} has a parameter 'self', which no job fills; {JOB}"
    return None


def _shared_default(function: Callable[..., object], name: str) -> str | None:
    """Say which parameter has a default that a job could change for all jobs after it."""
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    positional: tuple[object, ...] = getattr(function, "__defaults__", None) or ()
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount][-len(positional) or None :]
    defaults: dict[str, object] = dict(zip(names, positional, strict=False))
    defaults |= getattr(function, "__kwdefaults__", None) or {}
    for parameter, default in defaults.items():
        if type(default) in (list, dict, set):
            return (
                f"{name} has a parameter {parameter!r} with the default {shown(default)}, which "
                f"all jobs of a process would share and could change; write {parameter}=None, and "
                "make a new one in the function"
            )
    return None
