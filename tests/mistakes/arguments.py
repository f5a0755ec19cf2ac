"""Arguments that a job cannot have."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake

__all__ = ["ARGUMENTS"]

ARGUMENTS = (
    Mistake(
        code="send.enqueue()",
        says='PayloadError: task "send": $.user_id: is missing, and has no default',
        cause="The call does not fit the function. It is checked before anything is written.",
        remedy="Pass what the function needs.",
    ),
    Mistake(
        code='send.enqueue(7, lnag="de")',
        says='PayloadError: task "send": $.lnag: is not a parameter; did you mean "lang"?',
        cause="The function has no parameter of that name.",
        remedy="Correct the name.",
    ),
    Mistake(
        code='send.enqueue("7")',
        says="PayloadError: task \"send\": $.user_id: expected int, got str '7'",
        cause="Arguments are checked against the annotations, and nothing is converted.",
        remedy="Convert it in the caller: `send.enqueue(int(text))`.",
    ),
    Mistake(
        code="send.enqueue(7, delay=60)",
        says='PayloadError: task "send": $.delay: is not a parameter; an option of the job is '
        "given before: .using(delay=...).enqueue(...)",
        cause="What stands in `enqueue(...)` are the arguments of the function.",
        remedy="Write `send.using(delay=60).enqueue(7)`.",
    ),
    Mistake(
        code="""
class User:
    id = 7

@app.task
def greet(user) -> None: ...

greet.enqueue(User())
""",
        says='PayloadError: task "greet": $.user: expected a JSON value, got User <jobs.User '
        "object at ...>; pass its id or its text",
        cause="Arguments are stored as JSON. An object of the ORM, a session, a file or a function "
        "has no JSON form, and would be old when the job runs.",
        remedy="Pass the id, and load the row in the task.",
    ),
    Mistake(
        code="""
class User:
    id = 7

@app.task
def greet(user: User) -> None: ...

greet.enqueue(User())
""",
        says='ConfigError: task "greet", parameter "user": User has no JSON form; use a dataclass, '
        "TypedDict, NamedTuple, msgspec Struct or pydantic model, or pass its id or its text",
        cause="The annotation names a class that cannot become JSON and come back.",
        remedy="Pass the id, or a dataclass with what the task needs.",
    ),
    Mistake(
        code="""
@app.task
def remind(at) -> None: ...

remind.enqueue(datetime(2030, 1, 1))
""",
        says='PayloadError: task "remind": $.at: expected a JSON value, got datetime '
        "datetime.datetime(2030, 1, 1, 0, 0); annotate the parameter with its type, or pass "
        ".isoformat()",
        cause="Without an annotation, nobody knows that the text in the row was a datetime.",
        remedy="Annotate the parameter: `def remind(at: datetime)`.",
    ),
    Mistake(
        code="""
@app.task
def find(key: str | datetime) -> None: ...

find.enqueue("x")
""",
        says='ConfigError: task "find", parameter "key": the members of str | datetime.datetime '
        "look alike as JSON, so that nobody could tell which one came back; annotate one of them, "
        "or use a field that says which it is",
        cause="Both are a text in JSON.",
        remedy="Use two parameters, or convert before the call.",
    ),
    Mistake(
        code="""
from pydantic import BaseModel, PrivateAttr

class Order(BaseModel):
    id: int
    _total: int = PrivateAttr(0)

@app.task
def ship(order: Order) -> None: ...

order = Order(id=1)
order._total = 30
ship.enqueue(order)
""",
        says='PayloadError: task "ship": $.order._total: is a private attribute, and would come '
        "back as 0, not as 30; make it a field, or leave it as a new model has it",
        cause="Private attributes are not part of a model's JSON. The job would get another order.",
        remedy="Make it a field, or pass it by itself.",
    ),
    Mistake(
        code="""
@app.task
def index(text: str) -> None: ...

index.enqueue("x" * 2_000_000)
""",
        says='PayloadError: task "index": $: is 2000011 bytes as JSON, and the limit is 1048576; '
        "store large data elsewhere and pass its key",
        cause="Large rows make each claim slow.",
        remedy="Store the text in a table or a file, and pass its id. `App(max_args_bytes=...)` "
        "raises the limit.",
    ),
    Mistake(
        code="send.enqueue(send(7))",
        says='PayloadError: task "send": $.user_id: expected int, got None',
        cause="`send(7)` runs the function now, and returns None.",
        remedy="Write `send.enqueue(7)`.",
    ),
)
