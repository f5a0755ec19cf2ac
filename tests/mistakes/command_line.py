"""Words of the command line, apps that it cannot find or import, queues that nobody serves."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake

__all__ = ["COMMAND_LINE", "WAITING"]

_APP = """
from pgqueue import App

app = App()

@app.task(queue="mail")
def send(user_id: int) -> None: ...
"""
_IMPORT = 'pgqueue: module "jobs" cannot be imported: '

COMMAND_LINE = (
    Mistake(
        command="pgqueue worker",
        says="pgqueue: Missing argument 'MODULE:APP'; give it as MODULE:APP, as --app, in "
        'PGQUEUE_APP, or as app = "shop.jobs:app" under [tool.pgqueue] in pyproject.toml',
        cause="The worker has to import your tasks.",
        remedy="Name the app in pyproject.toml, and no command needs it any more.",
    ),
    Mistake(
        command="pgqueue worker jobs",
        says='pgqueue: "jobs" names no app; write module:attribute, as "jobs:app"',
        cause="A module may have several apps, and other things.",
        remedy="Add the name of the variable that holds the App.",
    ),
    Mistake(
        command="pgqueue worker jobs.py:app",
        says='pgqueue: "jobs.py:app" is a file; name the module: "jobs:app"',
        cause="The name is that of an `import`, not that of a file.",
        remedy="Write `jobs:app`, or `shop.jobs:app` for a module in a package.",
    ),
    Mistake(
        command="pgqueue worker jbos:app",
        says='pgqueue: no module "jbos"; did you mean "jobs"?',
        cause="No module of this name is in the current directory or on the path of Python.",
        remedy="Correct the name, or go to the directory in which `import jobs` works.",
    ),
    Mistake(
        command="pgqueue worker jobs:queue",
        code=_APP,
        says='pgqueue: module "jobs" has no "queue"; its apps are app',
        cause="The module has no variable of this name.",
        remedy="Write one of the names that the message lists.",
    ),
    Mistake(
        command="pgqueue worker jobs:app",
        code="from shop.models import User\n",
        says=_IMPORT
        + "ModuleNotFoundError: No module named 'shop' (.../jobs.py, line 1: from shop.models "
        "import User)",
        cause="Your module imports another one, which is not on the path of Python.",
        remedy="Start the worker in the directory of your project, or install the project.",
    ),
    Mistake(
        command="pgqueue worker jobs:app",
        code='import os\n\nKEY = os.environ["STRIPE_KEY"]\n',
        says=_IMPORT
        + "KeyError: 'STRIPE_KEY' (.../jobs.py, line 3: KEY = os.environ[\"STRIPE_KEY\"])",
        cause="Your module has raised this at its import, in the line that is shown.",
        remedy="Give the worker the same environment as the program. PGQUEUE_TRACEBACK=1 shows "
        "the whole traceback.",
    ),
    Mistake(
        command="pgqueue worker jobs:app",
        code="app = {}\n",
        says="pgqueue: jobs:app is not an App but a dict",
        cause="The variable holds something else, such as the application of a web framework.",
        remedy="Name the `pgqueue.App`.",
    ),
    Mistake(
        command="pgqueue worker jobs:app --concurency 4",
        code=_APP,
        says='pgqueue: no option "--concurency"; did you mean "--concurrency"?',
        cause="The command has no such option.",
        remedy="Correct it. `pgqueue worker --help` lists all.",
    ),
    Mistake(
        command="pgqueue worker jobs:app -Q mail",
        code=_APP,
        says='pgqueue: no option "-Q"; write --queue',
        cause="The word is that of another queue.",
        remedy="Write `--queue mail`.",
    ),
    Mistake(
        command="pgqueue worker jobs:app --queue mail,default --until-idle",
        code=_APP,
        says='... queue "mail,default" is the default of no task of this app; give each queue by '
        "itself: mail, default",
        cause="A name may have a comma in it, so the worker serves one queue of this name.",
        remedy="Write `--queue mail --queue default`.",
    ),
    Mistake(
        command="pgqueue worker jobs:app --queue mial --until-idle",
        code=_APP,
        says='... queue "mial" is the default of no task of this app; did you mean "mail"?',
        cause="The worker serves a queue that no task of this app uses by default.",
        remedy="Correct the name. Where jobs are sent there with `using(queue=...)`, all is well.",
    ),
    Mistake(
        command="pgqueue queues pause mial --app jobs:app",
        code=_APP,
        says='pgqueue: no queue is named "mial"; did you mean "mail"?; --new pauses it before its '
        "first job",
        cause="No job, no worker and no task has this queue.",
        remedy="Correct the name.",
    ),
    Mistake(
        command="pgqueue enqueue send 7 --app jobs:app",
        code=_APP,
        says='pgqueue: JSON must be an object of parameters by name, as \'{"name": "x"}\'; got 7',
        cause="Arguments have names.",
        remedy="""Write `pgqueue enqueue send '{"user_id": 7}'`.""",
    ),
    Mistake(
        command="""pgqueue enqueue sned '{"user_id": 7}' --app jobs:app""",
        code=_APP,
        says='pgqueue: no task is named "sned"; did you mean "send"?; --dsn enqueues by name, '
        "without the app",
        cause="The app has no task of this name.",
        remedy="Correct the name.",
    ),
    Mistake(
        command="pgqueue jobs list --state failed",
        says="pgqueue: Invalid value for '--state': \"failed\" is no state; use one of scheduled, "
        "blocked, pending, running, completed, cancelled, dead",
        cause="A job that failed is scheduled for its next attempt, or dead after its last.",
        remedy="Use `pgqueue dead list`.",
    ),
    Mistake(
        command="pgqueue jobs show 99",
        says="pgqueue: job 99 not found",
        cause="No job has this id, or it ended longer ago than `retention` (7 days).",
        remedy="See `pgqueue jobs list`. Is it the right database?",
    ),
    Mistake(
        command="pgqueue beat",
        says='pgqueue: no command "beat"; workers fire the schedules, no other process does; '
        "write: pgqueue schedules list",
        cause="The word is that of another queue, whose schedules need a process.",
        remedy="Declare schedules with `app.schedule(...)`, and start workers.",
    ),
)

WAITING = (
    Mistake(
        command="""pgqueue enqueue send '{"user_id": 7}' --app jobs:app
pgqueue status --app jobs:app""",
        code=_APP,
        says='no live worker serves queue "mail"',
        cause="The job is committed, and no worker runs that serves its queue. A worker serves the "
        "queues of its app's tasks, or those that `--queue` names.",
        remedy="Start one: `pgqueue worker jobs:app`. If one runs, does it have the same dsn and "
        "schema?",
    ),
    Mistake(
        command="""pgqueue enqueue send '{"user_id": 7}' --app jobs:app
pgqueue queues pause mail --app jobs:app
pgqueue status --app jobs:app""",
        code=_APP,
        says='queue "mail" is paused (1 ready); pgqueue queues resume lets it go on',
        cause="Somebody has paused the queue: workers claim nothing from it.",
        remedy="Run `pgqueue queues resume mail`.",
    ),
    Mistake(
        code="""
import psycopg

connection = psycopg.connect(os.environ["PGQUEUE_DSN"])
job = send.using(connection=connection).enqueue(7)
assert app.get_job(job.id) is not None, "the job is not there"
""",
        says="AssertionError: the job is not there",
        cause="The job is part of a transaction that was not committed. Nobody else can see it.",
        remedy="Commit the transaction: `connection.commit()`, `session.commit()`.",
    ),
    Mistake(
        command="""pgqueue enqueue send '{"user_id": 7}' --app jobs:app
pgqueue worker jobs:app --until-idle
pgqueue dead list --app jobs:app""",
        code="""
from pgqueue import App

app = App()

@app.task(max_attempts=1)
def send(user_id: int) -> None:
    raise OSError("no route to host")
""",
        says="... OSError: no route to host...",
        cause="The task failed in its last attempt. It is a dead letter, which nobody tries again.",
        remedy="Mend the cause. `pgqueue jobs show ID` has the traceback, and "
        "`pgqueue dead redrive ID` runs it again.",
    ),
)
