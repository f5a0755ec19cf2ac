"""A renamed task runs the jobs of its former names."""

from __future__ import annotations

from pgqueue import App
from tests.worker.support import Eyes, working


async def test_a_task_runs_the_jobs_of_its_aliases(app: App, eyes: Eyes) -> None:
    ran: list[str] = []

    @app.task(name="mail.send", aliases=["send_mail", "mailer"])
    async def send(to: str) -> None:
        ran.append(to)

    jobs = [await app.aenqueue(name, {"to": name}) for name in ("send_mail", "mailer", "mail.send")]
    async with working(app):
        for job in jobs:
            await eyes.reaches(job.id, "completed")
    assert sorted(ran) == ["mail.send", "mailer", "send_mail"]
