"""What an object holds outside of its fields comes back as well, or the object is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pydantic
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pgqueue.errors import PayloadError
from pgqueue.payload import Payload


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    n: int = 0
    inner: Model | None = None
    hidden: int = pydantic.Field(default=0, exclude=True)
    _private: Any = None
    _made: dict[str, int] = pydantic.PrivateAttr(default_factory=dict)


@dataclass
class Bare:
    n: int = 0
    inner: Bare | None = None
    models: list[Model] = field(default_factory=list)


@dataclass
class Made:
    n: int = 0
    inner: Made | None = None
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        self.twice = 2 * self.n
        self.more: dict[str, int] = {}


class Loose(msgspec.Struct, dict=True):
    n: int = 0
    inner: Loose | None = None


values = st.integers(0, 2) | st.sampled_from(["", "a"]) | st.none() | st.just({}) | st.just([])
models = st.recursive(
    st.builds(Model, n=st.integers(0, 2)),
    lambda inner: st.builds(Model, inner=inner, extra=values),
    max_leaves=3,
)
objects = (
    models
    | st.recursive(
        st.builds(Bare, models=st.lists(models, max_size=2)),
        lambda inner: st.builds(Bare, inner=inner),
        max_leaves=3,
    )
    | st.recursive(st.builds(Made, n=st.integers(0, 2)), lambda inner: st.builds(Made, inner=inner))
    | st.recursive(st.builds(Loose), lambda inner: st.builds(Loose, inner=inner))
)
NAMES = ("n", "hidden", "_private", "_made", "twice", "more", "other", "inner")


def everything(value: Any) -> Any:
    """All that an object holds, as plain data."""
    if isinstance(value, list):
        return [everything(one) for one in value]
    if not isinstance(value, Model | Bare | Made | Loose):
        return type(value), value
    held: dict[str, Any] = {}
    for holder in ("__dict__", "__pydantic_private__", "__pydantic_extra__"):
        held |= getattr(value, holder, None) or {}
    for name in getattr(value, "__struct_fields__", ()):
        held[name] = getattr(value, name)
    return type(value), {name: everything(one) for name, one in held.items()}


@given(objects, st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES), values), max_size=2))
@settings(max_examples=500)
@example(Made(), [(False, "other", {})])
@example(Made(), [(False, "more", [])])
def test_all_that_was_set_comes_back_or_is_refused(
    value: Any, changes: list[tuple[bool, str, Any]]
) -> None:
    for inside, name, new in changes:
        target = value.inner if inside and isinstance(value.inner, type(value)) else value
        setattr(target, name, new)

    def task(x: Any) -> None: ...

    task.__annotations__["x"] = type(value)
    payload = Payload(task, name="task")
    before = everything(value)
    try:
        encoded = payload.encode((value,), {})
    except PayloadError as refusal:
        assert refusal.path.startswith("$.x")  # noqa: PT017
    else:
        assert everything(payload.decode(encoded)[0][0]) == before
    assert everything(value) == before
