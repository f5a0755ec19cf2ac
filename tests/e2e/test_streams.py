"""A worker on a terminal that is not UTF-8."""

from __future__ import annotations

import json

import pytest

from tests.e2e.service import Queue, Service

pytestmark = pytest.mark.alone

JOBS = """
import pgqueue

app = pgqueue.App()


@app.task
async def odd(text: str) -> None:
    print(f"printed {text}", flush=True)
    raise ValueError(f"raised {text}")
"""


@pytest.mark.parametrize("processes", ["1", "2"], ids=["alone", "supervised"])
def test_what_a_job_prints_and_raises_is_written_with_escapes(queue: Queue, processes: str) -> None:
    (queue.home / "jobs.py").write_text(JOBS)
    job = queue.client.enqueue("odd", {"text": "Łó ☃"}, max_attempts=1).id
    latin = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    with Service(queue, "--processes", processes, **latin) as service:
        queue.until_state("dead", job, timeout_s=60)
        shown = r"\u0141\xf3 \u2603"
        service.until_logged(f"printed {shown}")
        service.until_logged(f"ValueError: raised {shown}; dead", timeout_s=60)
    errors = queue.job(job)["errors"]
    (error,) = json.loads(errors) if isinstance(errors, str) else errors
    assert (error["type"], error["message"]) == ("ValueError", "raised Łó ☃")
