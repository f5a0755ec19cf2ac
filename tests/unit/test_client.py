"""What a client, and a call that names its task, refuse before anything connects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pgqueue import App, Client, ConfigError, PayloadError, Retry, Snooze, Worker

DSN = "postgresql://nowhere/x"
CLIENT: Any = Client(DSN)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: Client(5), ConfigError, "dsn must be a string.*got an object of int"),  # type: ignore[arg-type]
        (lambda: Client(DSN, schema=""), ConfigError, "schema must be a non-empty string"),
        (lambda: Client(DSN, pgbouncer="no"), ConfigError, "pgbouncer must be.*got 'no'"),  # type: ignore[arg-type]
        (lambda: Client(DSN, pool_size=0), ConfigError, "pool_size must be from 1"),
        (lambda: Client(DSN, max_args_bytes=1), ConfigError, "max_args_bytes must be from 2"),
        (lambda: CLIENT.enqueue("t", [1]), PayloadError, r"args must be a mapping.*got \[1\]"),
        (lambda: CLIENT.enqueue(len), ConfigError, "becomes a task by @app.task"),  # type: ignore[arg-type]
        (lambda: CLIENT.enqueue("t", priorty=1), ConfigError, 'did you mean "priority"'),
        (lambda: CLIENT.enqueue_many(CLIENT.job("t")), ConfigError, "jobs must be a list"),
        (lambda: CLIENT.enqueue_many([CLIENT.job("t"), 5]), ConfigError, r"jobs\[1\].*got 5"),
        (lambda: Retry(delay="x"), ConfigError, "delay must be seconds.*got 'x'"),  # type: ignore[arg-type]
        (lambda: Snooze(True), ConfigError, "delay must be seconds.*got True"),
        (lambda: Worker(App(DSN)).statistics(), ConfigError, "not started"),
    ],
)
def test_a_wrong_call_is_refused(
    call: Callable[[], object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        call()


def test_a_job_by_name_has_the_options_and_the_signature_of_the_apps_task() -> None:
    app = App(DSN)

    @app.task(queue="mail", max_attempts=3)
    async def send(n: int) -> None: ...

    assert dict(app.job("send", {"n": 1}).options) == dict(send.job(1).options)
    assert app.job("send", {"n": 1}, queue="other").options["queue"] == "other"
    assert app.job("send", {"n": 1}, tags=(tag for tag in "ab")).options["tags"] == ["a", "b"]
    assert app.job("unknown", {"n": "x"}).options["queue"] == "default"
    with pytest.raises(PayloadError, match=r"\$\.n"):
        app.job("send", {"n": "x"})
