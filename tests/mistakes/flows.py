"""Flows that cannot be, and jobs whose place in one is not clear."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake

__all__ = ["FLOWS"]

FLOWS = (
    Mistake(
        code="""
@app.task(rate_limit="10/m")
def sync(customer: str) -> None: ...
""",
        says='ConfigError: @app.task() takes no "rate_limit"; flow=pgqueue.Flow("name", '
        'rate="60/min")',
        cause="The word is that of another queue, whose limit counts for one process.",
        remedy="The rate of a flow counts for the whole fleet.",
    ),
    Mistake(
        code="""
@app.task(flow="crm")
def sync(customer: str) -> None: ...
""",
        says="ConfigError: flow must be a Flow, got 'crm'; write "
        "flow=pgqueue.Flow('crm', concurrency=1)",
        cause="A name says nothing of the limits.",
        remedy="Give the limits. Several tasks can share one `Flow`.",
    ),
    Mistake(
        code='pgqueue.Flow("crm")',
        says='ConfigError: flow "crm": it limits nothing; give concurrency=20 or rate="100/s", or '
        "with a key key_concurrency=2, fair=True or ordered=True",
        cause="Jobs of such a flow would wait for nothing.",
        remedy="Say what it is for.",
    ),
    Mistake(
        code='pgqueue.Flow("crm", rate="60/m")',
        says='ConfigError: flow "crm": rate must be text such as "100/s", "60/min", "1000/h" or '
        """"5/day", got '60/m\'""",
        cause="An `m` may be a minute, a month or a meter.",
        remedy='Write `rate="60/min"`.',
    ),
    Mistake(
        code='pgqueue.Flow("crm", key_concurrency=2)',
        says='ConfigError: flow "crm": key_concurrency needs a key; write '
        'key="name_of_a_parameter"',
        cause="Nothing says which jobs belong together.",
        remedy='Name the parameter of the task that does: `key="customer"`.',
    ),
    Mistake(
        code="""
@app.task(flow=pgqueue.Flow("crm", key="custumer", key_concurrency=2))
def sync(customer: str) -> None: ...
""",
        says='ConfigError: flow "crm": the key "custumer" is no parameter of the task "sync"; '
        'did you mean "customer"?',
        cause="The key is taken from the arguments of each job, by the name of a parameter.",
        remedy="Write the name as the function has it.",
    ),
    Mistake(
        code="""
@app.task(flow=pgqueue.Flow("crm", key="customer", key_concurrency=2))
def sync(customer: str | None) -> None: ...

sync.enqueue(None)
""",
        says='ConfigError: the key of flow "crm" must be text, a whole number or a UUID, got None',
        cause="A job without a key would share its limit with all others that have none.",
        remedy='If that is wanted, say so: `key=lambda customer: customer or "nobody"`.',
    ),
    Mistake(
        code="""
@app.task(flow=pgqueue.Flow("crm", concurrency=2))
def read(customer: str) -> None: ...

@app.task(flow=pgqueue.Flow("crm", concurrency=5))
def write(customer: str) -> None: ...
""",
        says='ConfigError: flow "crm" has other limits in task "read" than in task "write"; make '
        "one Flow, and give it to both",
        cause="All jobs of a flow share its limits, whatever their task.",
        remedy='Write `crm = pgqueue.Flow("crm", ...)` once, or give the flows two names.',
    ),
    Mistake(
        code="send.using(weight=5).enqueue(7)",
        says='ConfigError: weight belongs to a job of a flow; give flow="name" as well, or '
        "@app.task(flow=pgqueue.Flow(...))",
        cause="A weight is a number of tokens of a flow's rate.",
        remedy="Give the task a flow.",
    ),
    Mistake(
        code="""
@app.task
def call() -> None:
    raise pgqueue.Retry(pause="flow")
""",
        job="call",
        says="ConfigError: pause needs a delay; write Retry(delay=30, pause='flow')",
        cause="The delay says for how long the flow begins no job.",
        remedy="Give the seconds that the server asks for, as in its header `Retry-After`.",
    ),
    Mistake(
        code="""
app.enqueue("sync", flow="crm", flow_key="acme")
app.flows.set("crn", concurrency=5)
""",
        says='ConfigError: no flow is named "crn"; did you mean "crm"?',
        cause="A flow is there once a worker has declared it, or a job is in its line.",
        remedy="Look at the names with `pgqueue flows`.",
    ),
    Mistake(
        code="""
app.enqueue("sync", flow="crm", flow_key="acme")
app.flows.pause("crm", key="acne")
""",
        says='ConfigError: flow "crm" has no key "acne" now; did you mean "acme"?; for one that '
        "has no jobs yet, say new=True, or --new",
        cause="No job of that key is there, and nothing was said of it: it may be a slip.",
        remedy="Look at the keys with `pgqueue keys crm`, or say that it is new.",
    ),
    Mistake(
        code='app.flows.set("crm", weight=3)',
        says="ConfigError: weight is of a key; give key as well",
        cause="Weights say how often keys have their turn beside each other.",
        remedy='Write `app.flows.set("crm", key="acme", weight=3)`.',
    ),
    Mistake(
        code="""
app.enqueue("sync", flow="crm", flow_key="acme")
app.flows.set("crm", burst=10)
""",
        says='ConfigError: flow "crm" has no rate, so burst means nothing; give both',
        cause="A burst is how much of a rate may be saved.",
        remedy='Give `rate="100/s"` as well.',
    ),
    Mistake(
        command="pgqueue flows set crm --rate 5",
        says='pgqueue: rate must be text such as "100/s", "60/min", "1000/h" or "5/day", got \'5\'',
        cause="A number alone does not say in which time.",
        remedy="Write `--rate 5/s`, or `--rate none` to lift the limit.",
    ),
)
