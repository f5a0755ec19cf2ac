"""What a payload takes, what it refuses and where, and how it is delivered."""

from __future__ import annotations

import collections
import functools
import json
import subprocess
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from asyncpg.pgproto.pgproto import UUID as AsyncpgUUID
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.errors import ConfigError, PayloadError
from pgqueue.payload import MAX_BYTES, Payload, annotated_with, encode_untyped

if typing.TYPE_CHECKING:
    from nowhere import RunningJob as Elsewhere

T = typing.TypeVar("T")
NAN, INF = float("nan"), float("inf")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)  # noqa: UP017
ID = UUID(int=7)
ODD = timezone(timedelta(minutes=9, seconds=21))


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    SMALL = 1


class Mood(StrEnum):
    GOOD = "good"
    NUL = "\0"


class Right(IntFlag):
    READ = 1


class Mixed(Enum):
    A = 1
    B = "b"


class Pair(Enum):
    A = (1, 2)


class Point(NamedTuple):
    x: int
    y: float


class Address(TypedDict, total=False):
    street: typing.Required[str]
    number: int


@dataclass
class Line:
    price: float
    note: Any = None


@dataclass
class BulkLine(Line):
    pass


@dataclass
class Order:
    lines: list[Line]
    at: datetime | None = None
    tags: dict[str, Point] = field(default_factory=dict)


@dataclass
class Page(typing.Generic[T]):
    items: list[T]


@dataclass
class Node:
    next: Node | None = None


@dataclass
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n == 13:
            raise ValueError("thirteen")
        self.n = abs(self.n) + 10


@dataclass
class Later:
    n: int
    init: InitVar[int] = 0


class Note(msgspec.Struct):
    text: str
    at: Annotated[int, msgspec.Meta(ge=0)] = 0


class Person(pydantic.BaseModel):
    name: str
    age: float = 0
    anything: Any = None


class Employee(Person):
    salary: int = 0


class Secretive(pydantic.BaseModel):
    name: str
    password: str = pydantic.Field(default="", exclude=True)


class Robot(pydantic.BaseModel):
    name: str


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    __hash__ = None  # type: ignore[assignment]


class RunningJob:
    pass


def payload(annotation: Any, **options: Any) -> Payload:
    def task(x: Any) -> None: ...

    task.__annotations__["x"] = annotation
    return Payload(task, name="send", **options)


def cyclic_list() -> list[Any]:
    value: list[Any] = [1]
    value.append({"again": value})
    return value


def cyclic_node() -> Node:
    node = Node()
    node.next = Node(node)
    return node


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def bad_person() -> Person:
    return Person.model_construct(name="\ud800")


SCALARS: dict[Any, Any] = {
    bool: True,
    int: 3,
    float: 1.5,
    str: "2026-01-02",
    bytes: b"YQ==",
    datetime: NOW,
    date: date(2026, 1, 2),
    time: time(1, 2),
    timedelta: timedelta(1),
    UUID: ID,
    Decimal: Decimal("1.5"),
    Colour: Colour.RED,
    Size: Size.SMALL,
    Mood: Mood.GOOD,
}
WRONG = [
    (declared, value, "$.x")
    for declared in SCALARS
    for kind, value in SCALARS.items()
    if declared is not kind and (declared, kind) != (float, int)
]
LOOKALIKE = [
    (datetime, "2026-01-02T03:04:05Z", "$.x"),
    (UUID, str(ID), "$.x"),
    (Decimal, "1.5", "$.x"),
    (timedelta, "P1D", "$.x"),
    (time, "01:02:00", "$.x"),
    (Colour, "red", "$.x"),
    (Size, 1, "$.x"),
    (bytes, bytearray(b"a"), "$.x"),
    (str, Text("a"), "$.x"),
    (int, Number(1), "$.x"),
    (str, None, "$.x"),
    (None, 0, "$.x"),
    (float, 2**53 + 1, "$.x"),
    (float, 10**400, "$.x"),
    (int, 10**4300, "$.x"),
    (int, -(10**4300), "$.x"),
    (Literal["a", 1], "b", "$.x"),
    (Literal["a", 1], True, "$.x"),
    (Literal["a", 1], 1.0, "$.x"),
    (Literal["a", 1], ["a"], "$.x"),
    (Literal["a"], Mood.GOOD, "$.x"),
    (Mood, Mood.NUL, "$.x"),
    (Page[int], Page([1, "a"]), "$.x.items[1]"),
    (list[Page[int] | None], [Page([True])], "$.x[0].items[0]"),
    (list[int], (1, 2), "$.x"),
    (list[int], {1, 2}, "$.x"),
    (list[int], "12", "$.x"),
    (list[int], [1, True], "$.x[1]"),
    (list[int], [1, 2.0], "$.x[1]"),
    (list[list[int]], [[], [1, "2"]], "$.x[1][1]"),
    (set[int], [1], "$.x"),
    (set[int], frozenset({1}), "$.x"),
    (set[int], {"a"}, "$.x[0]"),
    (frozenset[int], {1}, "$.x"),
    (tuple[int, ...], [1], "$.x"),
    (tuple[int, ...], (1, "a"), "$.x[1]"),
    (tuple[int, str], (1, 2), "$.x[1]"),
    (tuple[int, str], (1,), "$.x"),
    (tuple[int, str], (1, "a", 2), "$.x"),
    (tuple[int, int], Point(1, 2), "$.x"),
    (Point, (1, 2.0), "$.x"),
    (Point, Point("1", 2.0), "$.x.x"),
    (Sequence[int], (1, 2), "$.x"),
    (Mapping[str, int], {"a": "1"}, "$.x.a"),
    (dict[str, int], {1: 1}, "$.x[1]"),
    (dict[str, int], {"a b": True}, '$.x["a b"]'),
    (dict[str, int], {"\0": 1}, '$.x["\\u0000"]'),
    (dict[str, int], {"\ud800": 1}, '$.x["\\ud800"]'),
    (dict[str, int], collections.OrderedDict(a=1), "$.x"),
    (dict[int, int], {"1": 1}, '$.x["1"]'),
    (dict[int, int], {True: 1}, "$.x[True]"),
    (dict[float, int], {NAN: 1}, "$.x[nan]"),
    (dict[float, int], {INF: 1}, "$.x[inf]"),
    (dict[datetime, int], {datetime(2026, 1, 1, tzinfo=ODD): 1}, None),
    (dict[str, list[float]], {"a": [1.0, NAN]}, "$.x.a[1]"),
    (int | str, 1.0, "$.x"),
    (int | str, b"", "$.x"),
    (int | None, True, "$.x"),
    (int | float, 1e16, "$.x"),
    (int | float, -1e300, "$.x"),
    (int | float, INF, "$.x"),
    (float | str, NAN, "$.x"),
    (datetime | int, "2026-01-02T03:04:05Z", "$.x"),
    (datetime | date | None, NOW, ConfigError),
    (Line | None, {"price": 1.0}, "$.x"),
    (list[int] | None, [1, None], "$.x[1]"),
    (dict[str, int | None], {"a": {}}, "$.x.a"),
    (Address, {}, "$.x.street"),
    (Address, {"street": 1}, "$.x.street"),
    (Address, {"street": "a", "number": "1"}, "$.x.number"),
    (Address, {"street": "a", "floor": 1}, "$.x.floor"),
    (Address, {"street": "a", 1: 1}, "$.x[1]"),
    (Address, [], "$.x"),
    (Line, {"price": 1.0}, "$.x"),
    (Line, BulkLine(1.0), "$.x"),
    (Line, Line("1"), "$.x.price"),  # type: ignore[arg-type]
    (Line, Line(NAN), "$.x.price"),
    (Line, Line(1.0, NOW), "$.x.note"),
    (Line, Line(1.0, {"a": [object()]}), "$.x.note.a[0]"),
    (Order, Order([Line(1.0), Line(INF)]), "$.x.lines[1].price"),
    (Order, Order([], "2026-01-01"), "$.x.at"),  # type: ignore[arg-type]
    (Order, Order([], datetime(2026, 1, 1, tzinfo=ODD)), "$.x.at"),
    (Order, Order([], tags={"k": Point(1, INF)}), "$.x.tags.k.y"),
    (list[Order], [Order([Line(1.0, "\0")])], "$.x[0].lines[0].note"),
    (Node, cyclic_node(), None),
    (Positive, Positive(3), None),
    (Note, Note(1), "$.x.text"),  # type: ignore[arg-type]
    (Note, Note("a", -1), "$.x.at"),
    (Note, Note("a\0"), "$.x.text"),
    (list[Note], [Note("a"), Note("b", -1)], "$.x[1].at"),
    (list[Annotated[int, msgspec.Meta(lt=9)]], [1, 9], "$.x[1]"),
    (Annotated[str, msgspec.Meta(pattern="^a")], "b", "$.x"),
    (Annotated[list[int], msgspec.Meta(min_length=1)], [], "$.x"),
    (Annotated[datetime, msgspec.Meta(tz=True)], datetime(2026, 1, 1), "$.x"),
    (Person, {"name": "a"}, "$.x"),
    (Person, Employee(name="a"), "$.x"),
    (Person, Person(name="a\0"), "$.x.name"),
    (Person, bad_person(), "$.x.name"),
    (Person, Person(name="a", age=NAN), "$.x.age"),
    (Person, Person(name="a", anything=NOW), "$.x"),
    (Person, Person(name="a", anything=object()), "$.x"),
    (Person, Person(name="a", anything=cyclic_list()), "$.x"),
    (Person, Person.model_construct(name=3), "$.x"),  # type: ignore[arg-type]
    (list[Person], [Person(name="a"), None], "$.x[1]"),
    (Secretive, Secretive(name="a", password="b"), "$.x"),
    (Person | Robot, Employee(name="a"), "$.x"),
    (Person | Robot, {"name": "a"}, "$.x"),
    (Person | Robot, 3, "$.x"),
    (list[Person | Robot], [Robot(name="a"), 3], "$.x[1]"),
    (list[Person | Robot], [Robot(name="a"), Robot(name="\0")], "$.x[1].name"),
    (time, time(1, tzinfo=ODD), "$.x"),
    (time, time(1, tzinfo=ZoneInfo("Europe/Paris")), "$.x"),
    (datetime, datetime(1800, 1, 1, tzinfo=ZoneInfo("Europe/Paris")), "$.x"),
]
UNTYPED: list[tuple[Any, str | None]] = [
    (NAN, "$.x"),
    (-INF, "$.x"),
    ([1, [INF]], "$.x[1][0]"),
    (1e16, "$.x"),
    ({"a": -1e22}, "$.x.a"),
    ("\0", "$.x"),
    ("a\0b", "$.x"),
    ({"a": {"b\0": 1}}, '$.x.a["b\\u0000"]'),
    ("\ud800", "$.x"),
    (["ok", "\udfff"], "$.x[1]"),
    ({"\udc00": 1}, '$.x["\\udc00"]'),
    (NOW, "$.x"),
    ([date(2026, 1, 1)], "$.x[0]"),
    (time(1), "$.x"),
    (timedelta(1), "$.x"),
    (ID, "$.x"),
    (Decimal(1), "$.x"),
    (b"a", "$.x"),
    (bytearray(b"a"), "$.x"),
    (memoryview(b"a"), "$.x"),
    ((1, 2), "$.x"),
    ({1}, "$.x"),
    (frozenset(), "$.x"),
    ({"a": (1,)}, "$.x.a"),
    ({1: 1}, "$.x[1]"),
    ({None: 1}, "$.x[None]"),
    ({True: 1}, "$.x[True]"),
    ({1.5: 1}, "$.x[1.5]"),
    ({(1, 2): 1}, "$.x[(1, 2)]"),
    ({ID: 1}, None),
    (Colour.RED, "$.x"),
    (Size.SMALL, "$.x"),
    (Mood.GOOD, "$.x"),
    (Text("a"), "$.x"),
    (Number(1), "$.x"),
    (collections.OrderedDict(), "$.x"),
    (collections.defaultdict(int), "$.x"),
    (collections.deque(), "$.x"),
    (collections.Counter("a"), "$.x"),
    (Point(1, 2), "$.x"),
    (Line(1.0), "$.x"),
    (Note("a"), "$.x"),
    (Person(name="a"), "$.x"),
    (Path("a"), "$.x"),
    (1j, "$.x"),
    (range(3), "$.x"),
    (object(), "$.x"),
    (object, "$.x"),
    (len, "$.x"),
    (lambda: None, "$.x"),
    ((i for i in ()), "$.x"),
    (ValueError("a"), "$.x"),
    (sys, "$.x"),
    (..., "$.x"),
    (NotImplemented, "$.x"),
    (msgspec.UNSET, "$.x"),
    (msgspec.Raw(b"1"), "$.x"),
    (Hostile(), "$.x"),
    ([{"a": Hostile()}], "$.x[0].a"),
    (10**4300, "$.x"),
    ([-(10**5000)], "$.x[0]"),
    (cyclic_list(), None),
    (nested(101), None),
    (nested(100_000), None),
    ("x" * MAX_BYTES, "$"),
]
CORPUS = [*WRONG, *LOOKALIKE, *((Any, value, path) for value, path in UNTYPED)]


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) > 300


@pytest.mark.parametrize("index", range(len(CORPUS)))
def test_a_bad_value_is_refused_with_its_path(index: int) -> None:
    annotation, value, path = CORPUS[index]
    if path is ConfigError:
        with pytest.raises(ConfigError):
            payload(annotation).encode((value,), {})
        return
    if annotation is Positive:
        value.n = 13
    with pytest.raises(PayloadError) as caught:
        payload(annotation).encode((value,), {})
    error = caught.value
    if path is None:
        assert error.path.startswith("$.x")
    elif annotation is Person and path == "$.x":
        assert error.path.startswith(path)
    else:
        assert error.path == path
    assert str(error).startswith('task "send": $')
    assert len(str(error)) < 1000


@pytest.mark.parametrize("index", range(len(UNTYPED)))
def test_it_is_refused_without_a_signature_too(index: int) -> None:
    value, path = UNTYPED[index]
    with pytest.raises(PayloadError) as caught:
        encode_untyped({"x": value}, max_bytes=MAX_BYTES)
    assert path is None or caught.value.path == path


def test_a_refusal_says_what_was_expected_and_given() -> None:
    def send(to: str, order: Order) -> None: ...

    p = Payload(send, name="mail.send")
    with pytest.raises(PayloadError) as caught:
        p.encode(("a", Order([Line(1.0), Line("9")])), {})  # type: ignore[arg-type]
    assert str(caught.value) == (
        "task \"mail.send\": $.order.lines[1].price: expected float, got str '9'"
    )
    with pytest.raises(PayloadError, match=r"got str 'y{30,}\.\.\.y*'"):
        p.encode(("a", "y" * 10_000), {})
    with pytest.raises(PayloadError, match=r"pass \.isoformat\(\)"):
        encode_untyped({"x": NOW})
    with pytest.raises(PayloadError, match="more than 100 deep, or contains itself"):
        encode_untyped({"x": cyclic_list()})
    with pytest.raises(PayloadError, match="is 1048585 bytes as JSON, and the limit is 1048576"):
        encode_untyped({"x": "y" * (MAX_BYTES + 1)})


def test_a_call_must_fit_the_signature() -> None:
    def send(to: str, /, subject: str, *, urgent: bool = False) -> None: ...

    p = Payload(send, name="send")
    for args, kwargs, path, why in [
        ((), {}, "$.to", "is missing"),
        (("a",), {}, "$.subject", "is missing"),
        (("a", "b", "c"), {}, "$[2]", "takes 2 positional arguments, got 3"),
        (("a", "b"), {"subject": "c"}, "$.subject", "twice"),
        (("a", "b"), {"urgnt": True}, "$.urgnt", 'did you mean "urgent"'),
        (("a", "b"), {"to": "c"}, "$.to", "positional-only"),
        (("a", "b"), {"urgent": 1}, "$.urgent", "expected bool, got int 1"),
    ]:
        with pytest.raises(PayloadError, match=why) as caught:
            p.encode(args, kwargs)
        assert caught.value.path == path


def test_defaults_are_those_of_the_code_that_runs() -> None:
    shared: list[int] = []

    def before(a: int, b: int = 2, *, c: str = "x", d: list[int] = shared) -> None: ...
    def after(a: int, b: int = 5, *, c: str = "y", d: list[int] = shared) -> None: ...

    text = Payload(before, name="t").encode((1,), {})
    assert json.loads(text) == {"a": 1}
    args, kwargs = Payload(after, name="t").decode(text)
    assert (args, kwargs) == ((1, 5), {"c": "y", "d": []})
    assert kwargs["d"] is shared


@pytest.mark.parametrize(
    "name",
    [
        "task",
        "args",
        "kwargs",
        "job",
        "self",
        "cls",
        "queue",
        "connection",
        "name",
        "tag",
        "rename",
        "p0",
        "p1",
        "bases",
        "frozen",
        "kw_only",
        "gc",
        "module",
        "namespace",
        "_",
        "__init__",
        "__struct_fields__",
        "function",
        "encode",
        "größe",
        "type",
        "options",
        "delay",
    ],
)
def test_a_parameter_may_have_any_name(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def f(first_: int, {name}_: int, *, {name}: str): return {name}", scope)
    p = Payload(scope["f"], name="t")
    args, kwargs = p.decode(p.encode((1, 2), {name: "v"}))
    assert scope["f"](*args, **kwargs) == "v"
    with pytest.raises(PayloadError) as caught:
        p.encode((1, 2), {name: 3})
    assert caught.value.path == f"$.{name}"


def test_star_arguments() -> None:
    def f(a: int, *args: Point, k: str = "", **kwargs: date) -> Any:
        return a, args, k, kwargs

    p = Payload(f, name="t")
    call: Any = ((1, Point(1, 2.0), Point(3, 4.0)), {"k": "v", "self": date(2026, 1, 1)})
    text = p.encode(*call)
    assert json.loads(text)["args"] == [[1, 2.0], [3, 4.0]]
    args, kwargs = p.decode(text)
    assert f(*args, **kwargs) == f(*call[0], **call[1])
    assert p.decode(p.encode((1,), {})) == ((1,), {"k": ""})
    for bad_args, bad_kwargs, path in [
        ((1, 2), {}, "$.args[0]"),
        ((1,), {"z": 1}, "$.kwargs.z"),
        ((1,), {"k": 1}, "$.k"),
    ]:
        with pytest.raises(PayloadError) as caught:
            p.encode(bad_args, bad_kwargs)
        assert caught.value.path == path
    with pytest.raises(PayloadError) as caught:  # k was one of **kwargs when it was enqueued
        p.decode('{"a":1,"kwargs":{"k":"2026-01-01"}}')
    assert caught.value.path == "$.kwargs.k"


def test_star_arguments_of_a_typed_dict() -> None:
    def f(**kwargs: typing.Unpack[Address]) -> None: ...

    p = Payload(f, name="t")
    assert p.decode(p.encode((), {"street": "a", "number": 3}))[1] == {"street": "a", "number": 3}
    for kwargs in ({}, {"street": 1}, {"street": "a", "floor": 1}):
        with pytest.raises(PayloadError):
            p.encode((), kwargs)


def test_parameters_are_found_by_the_class_of_their_annotation() -> None:
    def f(
        a: RunningJob,
        b: Optional[RunningJob],  # noqa: UP045
        c: RunningJob | None,
        d: Annotated[RunningJob, "doc"],
        e: Union[int, RunningJob],  # noqa: UP007
        n1: list[RunningJob],
        n2: int,
        n3: Callable[[RunningJob], None],
        n4,
    ) -> None: ...

    assert annotated_with(f, RunningJob) == ("a", "b", "c", "d", "e")
    local = {"RunningJob": RunningJob}
    f.__annotations__ = typing.get_type_hints(f, localns=local, include_extras=True)
    assert annotated_with(f, RunningJob) == ("a", "b", "c", "d", "e")

    class RunningJob2:
        pass

    RunningJob2.__name__ = "Elsewhere"

    def g(
        a: Elsewhere,
        b: Elsewhere | None,
        c: "Optional[Elsewhere]",  # noqa: UP037, UP045
        d: Annotated[Elsewhere, 1],
        n1: list[Elsewhere],
        n2: Missing,  # type: ignore[name-defined]  # noqa: F821
        e: nowhere.Elsewhere,  # type: ignore[name-defined]  # noqa: F821
    ) -> None: ...

    assert annotated_with(g, RunningJob2) == ("a", "b", "c", "d", "e")


@pytest.mark.parametrize(
    "annotation",
    [
        *(Path, complex, Mixed, Pair, Later, collections.deque[int], Callable[[], None], type),
        *(str | datetime, UUID | Decimal, list[int] | set[int], Line | Order, range, Hostile),
        *(dict[tuple[int, int], int], dict[bool, int], dict[int | str, int], dict[None, int]),
        *(dict[Person, int], list[Path], dict[str, list[complex]], "Nowhere", "list[", msgspec.Raw),
        *(Literal[b"a"], typing.Final, memoryview, Line | dict[str, int]),
    ],
)
def test_an_annotation_without_a_json_form_is_a_configuration_error(annotation: Any) -> None:
    p = payload(annotation)  # not yet: it may refer to what is defined later
    with pytest.raises(ConfigError, match='task "send", parameter "x": '):
        p.prepare()
    with pytest.raises(ConfigError):
        p.encode((1,), {})
    with pytest.raises(PayloadError):
        p.decode('{"x":1}')


def test_annotations_are_resolved_when_first_used() -> None:
    scope: dict[str, Any] = {"__name__": "scope"}
    exec("def f(x: 'list[Thing] | None'): ...", scope)
    p = Payload(scope["f"], name="t")
    exec("from dataclasses import dataclass\n@dataclass\nclass Thing:\n  a: 'int'", scope)
    thing = scope["Thing"](1)
    assert p.decode(p.encode(([thing],), {})) == (([thing],), {})


def test_wrapped_partial_and_callable_objects() -> None:
    def f(a: int, at: datetime) -> None: ...

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    class Called:
        def __call__(self, a: int, at: datetime) -> None: ...

    for function in (wrapper, functools.partial(f), Called(), Called().__call__):
        p = Payload(function, name="t")
        args, kwargs = p.decode(p.encode((1, NOW), {}))
        assert (*args, *kwargs.values()) == (1, NOW)


def test_arguments_are_copied() -> None:
    lines = [Line(1.0, {"a": []})]
    p = payload(list[Line])
    text = p.encode((lines,), {})
    lines[0].note["a"].append(1)
    assert p.decode(text)[0][0] == [Line(1.0, {"a": []})]
    assert p.decode(text)[0][0] is not p.decode(text)[0][0]


def test_what_is_taken_although_of_another_type() -> None:
    assert payload(float).decode(payload(float).encode((3,), {}))[0][0] == 3.0
    back = payload(UUID).decode(payload(UUID).encode((AsyncpgUUID(str(ID)),), {}))[0][0]
    assert type(back) is UUID
    assert back == ID
    for value in ("\\u0000", "\\\\u0000", '"\\u0000', "\\\\\\u0000"):
        assert payload(str).decode(payload(str).encode((value,), {}))[0][0] == value


def test_a_timezone_comes_back_as_its_offset() -> None:
    summer = datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Paris"))
    back = payload(datetime).decode(payload(datetime).encode((summer,), {}))[0][0]
    assert back == summer
    assert back.utcoffset() == timedelta(hours=2)


def test_the_longest_payload() -> None:
    p = payload(str, max_bytes=20)
    assert len(p.encode(("a" * 12,), {})) == 20
    with pytest.raises(PayloadError, match="is 21 bytes as JSON, and the limit is 20"):
        p.encode(("a" * 13,), {})
    with pytest.raises(PayloadError, match="is 21 bytes"):
        p.encode(("a" * 11 + "é",), {})


def test_stored_arguments_of_another_signature() -> None:
    def f(x: int, order: Order, p: Person, *, q: Person | Robot | None = None) -> None: ...

    good = {"x": 1, "order": {"lines": []}, "p": {"name": "a"}}
    task = Payload(f, name="t")
    task.decode(json.dumps(good))
    for change, path in [
        ({"x": "1"}, "$.x"),
        ({"x": 1.5}, "$.x"),
        ({"x": None}, "$.x"),
        ({"y": 1}, "$.y"),
        ({"order": {}}, "$.order.lines"),
        ({"order": {"lines": [{"price": "1"}]}}, "$.order.lines[0].price"),
        ({"order": {"lines": [], "at": "yesterday"}}, "$.order.at"),
        ({"p": {}}, "$.p.name"),
        ({"p": {"name": "a", "age": "old"}}, "$.p.age"),
        ({"p": 3}, "$.p"),
        ({"q": 3}, None),
    ]:
        with pytest.raises(PayloadError, match='task "t": ') as caught:
            task.decode(json.dumps({**good, **change}))
        assert path is None or caught.value.path == path
    with pytest.raises(PayloadError) as caught:
        task.decode("{}")
    assert caught.value.path == "$.x"
    for text in ("", "[]", "null", "{", '{"x":1', "[" * 100_000, b"\xff", '{"x":"\xff'):
        with pytest.raises(PayloadError):
            task.decode(text)


@given(st.text() | st.binary() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_decoding_raises_nothing_else(text: str | bytes) -> None:
    with pytest.raises(PayloadError):
        payload(Order).decode(text)


def test_code_of_the_users_that_fails() -> None:
    @dataclass
    class Moody:
        n: int
        calls = 0

        def __post_init__(self) -> None:
            Moody.calls += 1
            if Moody.calls > 1:
                raise KeyError("moody")

    class Failing:
        def __get__(self, *_: object) -> Any:
            raise RuntimeError("no")

    value = Line(1.0)
    with pytest.raises(PayloadError, match="moody"):
        payload(Moody).encode((Moody(1),), {})
    del value.price
    with pytest.raises(PayloadError, match="could not be read") as caught:
        payload(Line).encode((value,), {})
    assert caught.value.path == "$.x.price"


def test_a_flag_of_bits_that_it_does_not_name() -> None:
    p = payload(Right)
    p.prepare()  # msgspec looks at the members that exist by now, and Right(2**70) becomes one
    assert p.decode(p.encode((Right(5),), {}))[0][0] == Right(5)
    with pytest.raises(PayloadError, match="64 bits"):
        p.encode((Right(2**70),), {})


def test_unset_fields_of_a_struct() -> None:
    class Patch(msgspec.Struct):
        name: str | msgspec.UnsetType = msgspec.UNSET

    for value in (Patch(), Patch("a")):
        assert payload(Patch).decode(payload(Patch).encode((value,), {}))[0][0] == value


def test_nothing_but_the_arguments() -> None:
    def f() -> None: ...

    p = Payload(f, name="t")
    assert p.encode((), {}) == "{}"
    assert p.decode("{}") == ((), {})
    with pytest.raises(PayloadError):
        p.encode((1,), {})


def test_pydantic_is_not_imported() -> None:
    code = (
        "import sys; from pgqueue.payload import Payload\n"
        "def f(x: int): ...\n"
        "p = Payload(f, name='f'); p.decode(p.encode((1,), {}))\n"
        "assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
