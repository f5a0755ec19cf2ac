"""Functions that cannot be tasks, and wrong options of ``@app.task``."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake

__all__ = ["DECORATION"]

DECORATION = (
    Mistake(
        code="""
class Mailer:
    @app.task
    def deliver(self, user_id: int) -> None: ...
""",
        says="ConfigError: jobs.Mailer.deliver is a method, and a job has no object to call it on; "
        "make it a function of the module, or a task of one object's: "
        "app.task(Mailer().deliver, ...)",
        cause="A job knows a name and its arguments. It does not know an object.",
        remedy="Write a function of the module, which makes the object and calls it.",
    ),
    Mistake(
        code="deliver = app.task(lambda user_id: print(user_id))",
        says="ConfigError: <function <lambda> at ...> has no name of its own; "
        "give @app.task(name=...)",
        cause="The row of a job holds the name of its task, and all lambdas have the same.",
        remedy="Write a function with `def`.",
    ),
    Mistake(
        code="""
@app.task("mail")
def deliver(user_id: int) -> None: ...
""",
        says="ConfigError: a task must be a function, got 'mail'; "
        """write @app.task(name="mail")""",
        cause="The options of a task are given by keyword.",
        remedy='Write what the message says, or `queue="mail"` if that was meant.',
    ),
    Mistake(
        code="""
@app.task
def deliver(user_ids: list[int] = []) -> None: ...
""",
        says="ConfigError: jobs.deliver has a parameter 'user_ids' with the default [], which all "
        "jobs of a process would share and could change; write user_ids=None, and make a new one "
        "in the function",
        cause="Python makes a default once. What one job adds to it, the next job finds.",
        remedy="Use None as the default, and begin with `user_ids = user_ids or []`.",
    ),
    Mistake(
        code="""
@app.task
def deliver(job: RunningJob, user_id: int) -> None: ...
""",
        says="ConfigError: jobs.deliver has a parameter 'job' for its job; a task asks for it: "
        "remove the parameter, and begin the function with\n    job = pgqueue.current_job()",
        cause="A parameter is an argument of the job. The job itself is none.",
        remedy="Ask with `current_job()`, in the task or in what it calls.",
    ),
    Mistake(
        code="""
@app.task(bind=True)
def deliver(self, user_id: int) -> None: ...
""",
        says='ConfigError: @app.task() takes no "bind"; the function asks for its job: '
        "job = pgqueue.current_job()",
        cause="The word is that of another queue.",
        remedy="Ask with `current_job()`. The page about your former queue has all words.",
    ),
    Mistake(
        code="""
@app.task(max_retries=3)
def deliver(user_id: int) -> None: ...
""",
        says='ConfigError: @app.task() takes no "max_retries"; max_attempts=N, which counts the '
        "first attempt as well",
        cause="The word is that of another queue.",
        remedy="Three retries are `max_attempts=4`.",
    ),
    Mistake(
        code="""
@app.task(retry=3)
def deliver(user_id: int) -> None: ...
""",
        says="ConfigError: retry must be a Backoff or a function (attempt, error) -> seconds or "
        "None, got 3; how often is max_attempts=N, how long between is Backoff(base=seconds)",
        cause="`retry` says how long to wait between attempts, not how many there are.",
        remedy="Write `max_attempts=4`, and `retry=pgqueue.Backoff(...)` for the waits.",
    ),
    Mistake(
        code="""
def wait(error):
    return 60

@app.task(retry=wait)
def deliver(user_id: int) -> None: ...
""",
        says="ConfigError: retry must be a Backoff or a function (attempt, error) -> seconds or "
        "None, got <function wait at ...>, which takes other arguments",
        cause="A policy is asked about the attempt as well: 1 for the first.",
        remedy="Write `def wait(attempt, error)`.",
    ),
    Mistake(
        code="""
@app.task(timeout="5m")
def deliver(user_id: int) -> None: ...
""",
        says="ConfigError: timeout must be seconds or a timedelta, got '5m'; write 300",
        cause="Spans of time are numbers of seconds, or timedeltas. Only the command reads `5m`.",
        remedy="Write `timeout=300` or `timeout=timedelta(minutes=5)`.",
    ),
    Mistake(
        code="""
@app.task(executor="thread")
def deliver(user_id: int) -> None: ...
""",
        says="ConfigError: executor must be \"process\", got 'thread'; without it a job runs in "
        "the worker: a task with async on its event loop, another one in a thread",
        cause="Only processes have to be asked for.",
        remedy="Leave `executor` out for a thread. Write a function with `async` for the loop.",
    ),
    Mistake(
        code="""
@app.task(memory="1GB")
def deliver(user_id: int) -> None: ...
""",
        says="ConfigError: memory limits a process, and the jobs of this task share one with "
        'others; give executor="process" as well',
        cause="Threads and async tasks share the memory of their worker.",
        remedy='Write `executor="process", memory="1GB"`.',
    ),
    Mistake(
        code="""
@app.task(executor="process", memory="lots")
def deliver(user_id: int) -> None: ...
""",
        says='ConfigError: memory must be bytes, or a text such as "1GB" or "512MB", got \'lots\'',
        cause="The text has a number and a unit.",
        remedy='Write `memory="1GB"` (10^9 bytes), `memory="1GiB"` (2^30) or a number of bytes.',
    ),
    Mistake(
        code="""
@app.task(name="send")
def deliver(user_id: int) -> None: ...
""",
        says='ConfigError: two tasks are named "send": jobs.send and jobs.deliver; '
        "give one @app.task(name=...)",
        cause="A worker finds the function by the name in the row. Two would be a guess.",
        remedy="Give one of them another name.",
    ),
    Mistake(
        code="""
@app.task
def deliver(user_id: int):
    yield user_id
""",
        says="ConfigError: jobs.deliver is a generator; a task must return, not yield",
        cause="Nobody takes what the function yields, so that its body would not run.",
        remedy="Do the work in the function. Enqueue a job for each item if these are many.",
    ),
)
