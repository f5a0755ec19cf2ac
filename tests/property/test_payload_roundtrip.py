"""Arguments come back as they were, or are refused: there is no third way."""

import enum
import math
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pgqueue.errors import PayloadError
from pgqueue.payload import Payload, encode_untyped

T = typing.TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Mood(enum.StrEnum):
    GOOD = enum.auto()
    BAD = enum.auto()


class Plain(enum.Enum):
    A = enum.auto()
    B = enum.auto()


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: float = 0.5


class Address(TypedDict):
    street: str
    number: NotRequired[int]


@dataclass
class Line:
    price: Decimal
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Order:
    id: UUID
    lines: list[Line] = field(default_factory=list)
    where: Point | None = None


@dataclass
class Tree:
    value: int
    children: "list[Tree]" = field(default_factory=list)


class Edge(msgspec.Struct, typing.Generic[T]):
    ends: tuple[T, T]


@dataclass
class Page(typing.Generic[T]):
    items: list[T]


class Note(msgspec.Struct, rename="camel", omit_defaults=True):
    note_text: str
    written_on: date | None = None


class Cat(msgspec.Struct, tag=True):
    name: str


class Dog(msgspec.Struct, tag=True):
    name: str


class Person(pydantic.BaseModel):
    name: str
    born: date | None = None
    scores: dict[str, float] = {}


class Team(pydantic.BaseModel):
    boss: Person
    people: list[Person] = []
    budget: Decimal = Decimal(0)


class Robot(pydantic.BaseModel):
    serial: int


@pydantic.dataclasses.dataclass
class Box:
    width: int
    since: datetime | None = None


UserId = NewType("UserId", int)

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
numbers = st.floats(allow_nan=False, allow_infinity=False)
ints = st.integers() | st.integers(-(10**40), 10**40)
minutes = st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes() | st.datetimes(timezones=minutes)
decimals = st.decimals(allow_nan=False)
points = st.builds(Point, ints, numbers)
lines = st.builds(Line, decimals, st.none() | moments)
trees = st.recursive(
    st.builds(Tree, ints), lambda inner: st.builds(Tree, ints, st.lists(inner, max_size=3))
)
persons = st.builds(
    Person, name=text, born=st.none() | st.dates(), scores=st.dictionaries(text, numbers)
)
few: dict[str, int] = {"max_size": 4}

SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (bool, st.booleans()),
    (int, ints),
    (float, numbers),
    (str, text),
    (bytes, st.binary()),
    (bytearray, st.binary().map(bytearray)),
    (datetime, moments),
    (date, st.dates()),
    (time, st.times() | st.times(timezones=minutes)),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Decimal, decimals),
    (Colour, st.sampled_from(Colour)),
    (Size, st.sampled_from(Size)),
    (Mood, st.sampled_from(Mood)),
    (Plain, st.sampled_from(Plain)),
    (Right, st.sampled_from([*Right, Right(0), Right.READ | Right.WRITE])),
    (None, st.none()),
    (Literal["a", 1, None], st.sampled_from(["a", 1, None])),
    (UserId, ints),
]
OBJECTS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (Point, points),
    (
        Address,
        st.fixed_dictionaries({"street": text}, optional={"number": ints}),
    ),
    (Order, st.builds(Order, st.uuids(), st.lists(lines, **few), st.none() | points)),
    (Tree, trees),
    (Page[datetime], st.builds(Page, st.lists(moments))),
    (Edge[UUID | None], st.builds(Edge, st.tuples(st.uuids(), st.none() | st.uuids()))),
    (Note, st.builds(Note, text, st.none() | st.dates())),
    (Cat | Dog, st.builds(Cat, text) | st.builds(Dog, text)),
    (Person, persons),
    (
        Team,
        st.builds(
            Team,
            boss=persons,
            people=st.lists(persons, max_size=2),
            budget=st.decimals(allow_nan=False, allow_infinity=False),
        ),
    ),
    (Person | Robot | None, persons | st.builds(Robot, serial=ints) | st.none()),
    (list[Person | Robot], st.lists(persons | st.builds(Robot, serial=ints), **few)),
    (Box, st.builds(Box, width=ints, since=st.none() | moments)),
    (int | float, ints | st.floats(-1e15, 1e15)),
    (int | str | None, ints | text | st.none()),
    (float | str, numbers | text),
    (Decimal | float | None, decimals | numbers | st.none()),
    (datetime | int, moments | ints),
    (Colour | int | list[int], st.sampled_from(Colour) | ints | st.lists(ints, **few)),
    (Annotated[int, msgspec.Meta(ge=0, title="count")], st.integers(0)),
    (tuple[int, str, Colour], st.tuples(ints, text, st.sampled_from(Colour))),
]
if sys.version_info >= (3, 12):
    scope: dict[str, Any] = {}
    exec("type Names = list[str]", scope)
    OBJECTS.append((scope["Names"], st.lists(text)))
KEYS = (str, int, float, UUID, Decimal, datetime, date, time, timedelta, bytes, Colour, Size, Mood)


def _collections(kind: Any, values: st.SearchStrategy[Any]) -> list[tuple[Any, Any]]:
    return [
        (list[kind], st.lists(values, **few)),
        (tuple[kind, ...], st.lists(values, **few).map(tuple)),
        (dict[str, kind], st.dictionaries(text, values, **few)),
        (kind | None if kind is not None else None, values | st.none()),
    ]


CASES = [*SCALARS, *OBJECTS]
for kind, values in [*SCALARS, *OBJECTS]:
    CASES += _collections(kind, values)
for kind, values in SCALARS:
    if kind is not bytearray:
        CASES.append((set[kind], st.sets(values, **few)))
        CASES.append((frozenset[kind], st.frozensets(values, **few)))
    if kind in KEYS:
        CASES.append((dict[kind, int], st.dictionaries(values, ints, **few)))

json_values = st.recursive(
    st.none() | st.booleans() | ints | st.floats() | st.text(),
    lambda inner: st.lists(inner, **few) | st.dictionaries(st.text(), inner, **few),
    max_leaves=12,
)


def payload(annotation: Any) -> Payload:
    def task(x: Any) -> None: ...

    task.__annotations__["x"] = annotation
    return Payload(task, name="task")


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types all the way down."""
    if isinstance(one, UUID):
        return one == other and type(other) is UUID
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        keys = {(type(k), k) for k in one} == {(type(k), k) for k in other}
        return keys and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return {(type(x), x) for x in one} == {(type(x), x) for x in other}
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, n), getattr(other, n)) for n in one.__dataclass_fields__)
    return bool(one == other)


def returns(annotation: Any, value: Any, stored: Callable[[str], str] = str) -> None:
    task = payload(annotation)
    args, kwargs = task.decode(stored(task.encode((value,), {})))
    assert kwargs == {}
    assert same(args[0], value), (args[0], value)


def returns_or_refused(value: Any, stored: Callable[[str], str] = str) -> None:
    task = payload(Any)
    try:
        encoded = task.encode((value,), {})
    except PayloadError as refusal:
        assert refusal.path.startswith("$.x")  # noqa: PT017
        with pytest.raises(PayloadError):
            encode_untyped({"x": value})
    else:
        assert encode_untyped({"x": value}) == encoded
        assert same(task.decode(stored(encoded))[0][0], value)


def _named(case: tuple[Any, Any]) -> str:
    return str(case[0]).replace("typing.", "").rpartition("tests.")[2]


@pytest.mark.parametrize("case", CASES, ids=_named)
def test_typed_values_return(case: tuple[Any, st.SearchStrategy[Any]]) -> None:
    annotation, values = case

    @settings(max_examples=40)
    @given(values)
    def check(value: Any) -> None:
        returns(annotation, value)

    check()


@given(json_values)
@example(-0.0)
@example("\\u0000")
@example("\\\\u0000\\")
@example({"\\u0000": "\\"})
@example([[[{"": 1e15}]]])
def test_untyped_values_return_or_are_refused(value: Any) -> None:
    returns_or_refused(value)


@given(st.text())
@example("\0")
@example("\ud800")
@example("\\u0000")
def test_text_returns_or_is_refused(value: str) -> None:
    storable = "\0" not in value and not any(0xD800 <= ord(c) <= 0xDFFF for c in value)
    try:
        returns(str, value)
        assert storable
    except PayloadError:
        assert not storable


@given(st.floats())
def test_floats_return_or_are_refused(value: float) -> None:
    try:
        returns(float, value)
        assert math.isfinite(value)
    except PayloadError:
        assert not math.isfinite(value)


@given(st.data())
def test_no_type_takes_another_types_value(data: st.DataObject) -> None:
    kinds = [case for case in SCALARS if typing.get_origin(case[0]) is None]
    declared, _ = data.draw(st.sampled_from(kinds))
    given_kind, values = data.draw(st.sampled_from(kinds))
    value = data.draw(values)
    try:
        payload(declared).encode((value,), {})
    except PayloadError:
        assert declared is not given_kind
    else:
        also = (declared, given_kind) in {(float, int), (UserId, int), (int, UserId)}
        assert also or declared is given_kind or (declared, given_kind) == (float, UserId)


@given(st.lists(st.integers()), st.dictionaries(st.text(min_size=1), st.integers()))
def test_any_call_binds_as_python_binds_it(args: list[int], kwargs: dict[str, int]) -> None:
    def task(a: int, /, b: int, *rest: int, c: int = 3, **more: int) -> Any:
        return a, b, rest, c, more

    try:
        expected = task(*args, **kwargs)
    except TypeError:
        with pytest.raises(PayloadError):
            Payload(task, name="task").encode(tuple(args), kwargs)
        return
    p = Payload(task, name="task")
    try:
        back_args, back_kwargs = p.decode(p.encode(tuple(args), kwargs))
    except PayloadError as refusal:
        assert any("\0" in key or not key.isprintable() for key in kwargs), refusal  # noqa: PT017
    else:
        assert task(*back_args, **back_kwargs) == expected
