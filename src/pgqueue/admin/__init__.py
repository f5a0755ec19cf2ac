"""Operators' verbs on a connection: look, count, retry, cancel, redrive, pause, purge.

The command line, the web and ``Operations`` all call these. Values are checked
before, by ``filters``.
"""

from __future__ import annotations

from pgqueue.admin.cancel import cancel
from pgqueue.admin.dead import count_dead, list_dead, purge_dead, redrive_dead
from pgqueue.admin.filters import DeadFilter, JobFilter, check_ids, check_page
from pgqueue.admin.fleet import pause, queues, resume, workers
from pgqueue.admin.home import adopt, check_home
from pgqueue.admin.jobs import get_job, list_jobs, match_jobs
from pgqueue.admin.retry import redrive, retry
from pgqueue.admin.schedule_look import list_schedules, preview_schedule, schedule_fires
from pgqueue.admin.schedules import (
    Actor,
    declare_schedules,
    pause_schedule,
    remove_schedule,
    reset_schedule,
    resume_schedule,
    run_schedule,
    set_schedule,
)
from pgqueue.admin.schema import apply_migrations, plan_migrations, schema_status
from pgqueue.admin.status import status
from pgqueue.admin.waiting import why_waiting

__all__ = [
    "Actor",
    "DeadFilter",
    "JobFilter",
    "adopt",
    "apply_migrations",
    "cancel",
    "check_home",
    "check_ids",
    "check_page",
    "count_dead",
    "declare_schedules",
    "get_job",
    "list_dead",
    "list_jobs",
    "list_schedules",
    "match_jobs",
    "pause",
    "pause_schedule",
    "plan_migrations",
    "preview_schedule",
    "purge_dead",
    "queues",
    "redrive",
    "redrive_dead",
    "remove_schedule",
    "reset_schedule",
    "resume",
    "resume_schedule",
    "retry",
    "run_schedule",
    "schedule_fires",
    "schema_status",
    "set_schedule",
    "status",
    "why_waiting",
    "workers",
]
