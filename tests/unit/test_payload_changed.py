"""What would come back changed is refused: also what an object holds outside of its fields."""

from __future__ import annotations

import functools
import json
import typing
from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest

from pgqueue.errors import PayloadError
from pgqueue.payload import Payload

T = typing.TypeVar("T")
BERLIN = ZoneInfo("Europe/Berlin")


class Order(pydantic.BaseModel):
    id: int
    _tenant: str = pydantic.PrivateAttr("nobody")
    _seen: list[int] = pydantic.PrivateAttr(default_factory=list)
    _note: str  # not there until it is set


class Shipment(pydantic.BaseModel):
    order: Order


class Doubled(pydantic.BaseModel):
    id: int
    _double: int = 0

    def model_post_init(self, _context: object) -> None:
        self._double = 2 * self.id


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    id: int


class Computed(pydantic.BaseModel):
    id: int
    hidden: int = pydantic.Field(default=0, exclude=True)

    @pydantic.computed_field
    def double(self) -> int:
        return 2 * self.id


@dataclass
class Plain:
    n: int
    later: int = field(default=0, init=False)
    shared: ClassVar[int] = 0

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.n


@dataclass
class Made:
    """Its own code makes more of it."""

    n: int
    double: int = field(init=False)

    def __post_init__(self) -> None:
        self.double = 2 * self.n
        self.cache: dict[str, int] = {}


@dataclass
class Counting:
    n: int

    def __post_init__(self) -> None:
        self.n += 1


@dataclass
class Holder:
    orders: list[Order]
    made: dict[str, Made] = field(default_factory=dict)
    when: datetime | None = None
    price: Decimal | None = None


@dataclass
class Page(typing.Generic[T]):
    items: list[T]


class Loose(msgspec.Struct, dict=True):
    n: int


class Patch(msgspec.Struct):
    n: int
    m: int | msgspec.UnsetType = msgspec.UNSET
    k: int | msgspec.UnsetType = 3


class Point(NamedTuple):
    x: int


class Place(Point):
    """Not closed: it has a ``__dict__``."""


@pydantic.dataclasses.dataclass
class Box:
    width: int


def having(value: Any, **attributes: Any) -> Any:
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
    return value


def remembering(value: Any) -> Any:
    assert value.double
    return value


def payload(annotation: Any) -> Payload:
    def task(x: Any) -> None: ...

    task.__annotations__["x"] = annotation
    return Payload(task, name="task")


CHANGED: list[tuple[Any, Any, str]] = [
    (Order, having(Order(id=1), _tenant="acme"), "$.x._tenant"),
    (Order, having(Order(id=1), _seen=[1]), "$.x._seen"),
    (Order, having(Order(id=1), _note=""), "$.x._note"),
    (list[Order], [Order(id=1), having(Order(id=1), _tenant="acme")], "$.x[1]._tenant"),
    (Holder, Holder([having(Order(id=1), _tenant="acme")]), "$.x.orders[0]._tenant"),
    (Shipment, Shipment(order=having(Order(id=1), _tenant="acme")), "$.x"),
    (Order | Doubled, having(Order(id=1), _tenant="acme"), "$.x"),
    (Doubled, having(Doubled(id=1), _double=3), "$.x._double"),
    (Open, Open(id=1, more=(1, 2)), "$.x"),
    (Computed, Computed(id=1, hidden=1), "$.x"),
    (Plain, having(Plain(1), more=2), "$.x.more"),
    (Plain, having(Plain(1), shared=2), "$.x.shared"),
    (Plain, having(Plain(1), n=msgspec.UNSET), "$.x.n"),
    (list[Plain], [having(Plain(1), more=2)], "$.x[0].more"),
    (Made, having(Made(1), double=3), "$.x.double"),
    (Made, having(Made(1), cache={"a": 1}), "$.x.cache"),
    (Made, having(Made(1), more=2), "$.x.more"),
    (Counting, Counting(1), "$.x.n"),
    (Holder, Holder([], {"a": having(Made(1), double=3)}), "$.x.made.a.double"),
    (Loose, having(Loose(1), more=2), "$.x.more"),
    (Patch, Patch(msgspec.UNSET), "$.x.n"),  # type: ignore[arg-type]
    (Patch, Patch(1, k=msgspec.UNSET), "$.x.k"),
    (Place, having(Place(1), y=2), "$.x.y"),
    (Point, Place(1), "$.x"),
    (Box, having(Box(1), more=2), "$.x.more"),
    (Box, having(Box(1), width=msgspec.UNSET), "$.x.width"),
]


@pytest.mark.parametrize("index", range(len(CHANGED)))
def test_what_would_come_back_changed_is_refused_with_its_path(index: int) -> None:
    annotation, value, path = CHANGED[index]
    with pytest.raises(PayloadError) as caught:
        payload(annotation).encode((value,), {})
    assert caught.value.path == path


KEPT: list[tuple[Any, Any]] = [
    (Order, Order(id=1)),
    (Shipment, Shipment(order=Order(id=1))),
    (Doubled, Doubled(id=1)),
    (Open, Open(id=1, more={"a": [1]})),
    (Computed, Computed(id=1)),
    (Plain, Plain(1)),
    (Plain, having(Plain(1), later=2)),
    (Plain, remembering(Plain(1))),
    (Made, Made(1)),
    (Holder, Holder([Order(id=1)], {"a": Made(1)})),
    (Page[int], Page[int]([1])),
    (Loose, Loose(1)),
    (Patch, Patch(1)),
    (Patch, Patch(1, m=2, k=4)),
    (Place, Place(1)),
    (Box, Box(1)),
]


@pytest.mark.parametrize("index", range(len(KEPT)))
def test_what_a_new_one_has_as_well_is_kept(index: int) -> None:
    annotation, value = KEPT[index]
    task = payload(annotation)
    assert task.decode(task.encode((value,), {})) == ((value,), {})


class Numbers(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    real: float = 0.0
    either: int | float = 0
    anything: Any = None
    words: list[str] = []


@pytest.mark.parametrize("large", [1e16, -1e300])
@pytest.mark.parametrize("name", ["either", "anything", "more"])
def test_a_float_that_jsonb_gives_back_as_an_int_is_refused(name: str, large: float) -> None:
    inside = {"a": [large]} if name != "either" else large
    for kind in (Numbers, Numbers | Computed):
        for value in (large, inside):
            with pytest.raises(PayloadError, match="comes back the same"):
                payload(kind).encode((Numbers(**{name: value}),), {})


@pytest.mark.parametrize(
    "given",
    [
        Numbers(real=1e16, words=["1e16"]),
        Numbers(real=-1.7976931348623157e308, either=10**300, anything=10**20),
        Numbers(either=9999999999999998.0, anything=[5e-324]),
    ],
)
def test_numbers_that_come_back_as_they_were_are_kept(given: Numbers) -> None:
    for kind in (Numbers, Numbers | Computed):
        task = payload(kind)
        stored = task.encode((given,), {})
        if "e16" in stored or "e308" in stored:  # what jsonb makes of it
            number = format(Decimal(repr(given.real)), "f")
            stored = stored.replace(json.loads(stored, parse_float=str)["x"]["real"], number, 1)
        ((back,), _) = task.decode(stored)
        assert back == given
        assert [type(value) for value in vars(back).values()] == [
            type(value) for value in vars(given).values()
        ]


def test_the_refusal_of_a_private_attribute_says_what_to_do() -> None:
    with pytest.raises(PayloadError) as caught:
        payload(Order).encode((having(Order(id=1), _tenant="acme"),), {})
    assert str(caught.value) == (
        "task \"task\": $.x._tenant: is a private attribute, and would come back as 'nobody', "
        "not as 'acme'; make it a field, or leave it as a new model has it"
    )


@pytest.mark.parametrize("wrap", [lambda when: when, lambda when: Holder([], {"a": Made(1)}, when)])
@pytest.mark.parametrize(
    "when",
    [
        datetime(2026, 10, 25, 2, 30, fold=0, tzinfo=BERLIN),
        datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
        datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN),  # never on a clock
        datetime(2026, 7, 1, tzinfo=BERLIN),
    ],
)
def test_an_hour_that_comes_twice_or_never_stays_the_same_moment(
    when: datetime, wrap: typing.Callable[[datetime], Any]
) -> None:
    task = payload(datetime | Holder)
    ((back,), _) = task.decode(task.encode((wrap(when),), {}))
    back = back.when if isinstance(back, Holder) else back
    assert back.timestamp() == when.timestamp()
    assert back.isoformat() == when.isoformat()


def test_the_fold_of_a_time_without_a_zone_is_lost() -> None:
    for annotation, given in (
        (datetime, datetime(2026, 10, 25, 2, 30, fold=1)),
        (time, time(2, 30, fold=1)),
    ):
        task = payload(annotation)
        ((back,), _) = task.decode(task.encode((given,), {}))
        assert (back, back.fold) == (given, 0)


@pytest.mark.parametrize("text", ["NaN", "-NaN12", "sNaN", "-Infinity", "-0", "1.10", "1E+400"])
def test_any_decimal_comes_back_digit_by_digit(text: str) -> None:
    task = payload(Holder)
    given = Holder([], {"a": Made(1)}, price=Decimal(text))
    ((back,), _) = task.decode(task.encode((given,), {}))
    assert str(back.price) == text


def test_all_fields_of_a_model_come_back_as_set() -> None:
    class Change(pydantic.BaseModel):
        name: str = ""
        mail: str = ""

    given = Change(name="a")
    task = payload(Change)
    ((back,), _) = task.decode(task.encode((given,), {}))
    assert back == given
    assert (given.model_fields_set, back.model_fields_set) == ({"name"}, {"name", "mail"})
