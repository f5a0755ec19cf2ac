"""Django's own TestCase: jobs of a test that never commits, and what its tasks do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.test_plugin import project, run

pytestmark = pytest.mark.one_pg

assert project

CASES = """
import os, unittest
import django
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

given = conninfo_to_dict(os.environ["PGQUEUE_DSN"])
database = {
    "ENGINE": "django.db.backends.postgresql", "NAME": given["dbname"], "USER": given["user"],
    "HOST": given["host"], "PORT": given.get("port", ""), "PASSWORD": given.get("password", ""),
}
settings.configure(DATABASES={"default": database}, USE_TZ=True)
django.setup()

import pgqueue
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.test import TestCase
from pgqueue.testing import Kit

from pgqueue.hooks.django import around

app = pgqueue.App(connection=lambda: connection, around=around())
noted = []

def rows():
    with connection.cursor() as cursor:
        cursor.execute("select id from orders order by id")
        return [row[0] for row in cursor.fetchall()]

def add(n):
    with connection.cursor() as cursor:
        cursor.execute("insert into orders values (%s)", [n])

@app.task
def settle(n: int) -> None:
    with transaction.atomic():
        add(n)
        transaction.on_commit(lambda: noted.append(n))

@app.task(max_attempts=1)
def completes(n: int) -> None:
    with pgqueue.current_job().transaction(connection):
        add(n)
        transaction.on_commit(lambda: noted.append(n))
        if n < 0:
            raise ValueError("no")

@app.task(max_attempts=1)
def fails(n: int) -> None:
    with transaction.atomic():
        add(n)
        raise ValueError("no")

@app.task(max_attempts=1)
def breaks() -> None:
    add(1)
    add("no number")

@app.task
async def awaited(n: int) -> None:
    await sync_to_async(add)(n)

class Orders(TestCase):
    @classmethod
    def setUpTestData(cls):
        with connection.cursor() as cursor:
            cursor.execute("create table orders (id integer)")

    def setUp(self):
        self.kit = Kit(app, connection)
        noted.clear()

    def test_a_task_works_in_the_transaction_of_the_test(self):
        with self.kit.assert_enqueues(settle, args={"n": 7}), transaction.atomic():
            settle.enqueue(7)
        self.assertEqual(self.kit.drain(), {"completed": 1})
        self.assertEqual((rows(), noted), ([7], [7]))

    def test_a_task_completes_its_job_in_the_transaction_of_the_test(self):
        for n in (7, -7):
            completes.enqueue(n)
        done = self.kit.drain(raise_errors=False)
        self.assertEqual(done, {"completed": 1, "dead": 1})
        self.assertEqual((rows(), noted), ([7], [7]))

    def test_the_next_test_sees_nothing(self):
        self.kit.refute_enqueued()
        self.assertEqual(rows(), [])

    def test_a_failure_takes_nothing_else_along(self):
        add(1)
        fails.enqueue(2)
        breaks.enqueue()
        settle.enqueue(3)
        done = self.kit.drain(raise_errors=False)
        self.assertEqual(done, {"dead": 2, "completed": 1})
        self.assertEqual(rows(), [1, 3])

    def test_it_raises_what_the_task_raised(self):
        fails.enqueue(2)
        with self.assertRaisesRegex(ValueError, "no"):
            self.kit.drain()
        self.kit.refute_enqueued()

    def test_async_tasks_use_the_connection_of_the_test(self):
        awaited.enqueue(5)
        self.assertEqual(self.kit.drain(), {"completed": 1})
        self.assertEqual(rows(), [5])

unittest.main()
"""


def test_a_test_case(project: Path, dsn: str) -> None:
    (project / "cases.py").write_text(CASES)
    assert "Ran 6 tests" in run(project, dsn, "cases.py")
