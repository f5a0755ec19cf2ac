"""Operators' verbs on a connection: look, count, retry, cancel, redrive, pause, purge.

The command line, the web and ``Operations`` all call these. Values are checked
before, by ``filters``.
"""

from __future__ import annotations

from pgqueue.admin.cancel import cancel
from pgqueue.admin.dead import count_dead, list_dead, purge_dead, redrive_dead
from pgqueue.admin.filters import DeadFilter, JobFilter, check_ids, check_page
from pgqueue.admin.fleet import pause, queues, resume, workers
from pgqueue.admin.flow_look import flow_usage, list_flow_keys, list_flows
from pgqueue.admin.flows import (
    pause_flow,
    pause_flow_key,
    reset_flow,
    reset_flow_key,
    resume_flow,
    resume_flow_key,
    set_flow,
    set_flow_key,
)
from pgqueue.admin.home import adopt, check_home
from pgqueue.admin.jobs import get_job, list_jobs, match_jobs
from pgqueue.admin.limits import declare_queues, limit_queue, list_limits, reset_queue
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
    "declare_queues",
    "declare_schedules",
    "flow_usage",
    "get_job",
    "limit_queue",
    "list_dead",
    "list_flow_keys",
    "list_flows",
    "list_jobs",
    "list_limits",
    "list_schedules",
    "match_jobs",
    "pause",
    "pause_flow",
    "pause_flow_key",
    "pause_schedule",
    "plan_migrations",
    "preview_schedule",
    "purge_dead",
    "queues",
    "redrive",
    "redrive_dead",
    "remove_schedule",
    "reset_flow",
    "reset_flow_key",
    "reset_queue",
    "reset_schedule",
    "resume",
    "resume_flow",
    "resume_flow_key",
    "resume_schedule",
    "retry",
    "run_schedule",
    "schedule_fires",
    "schema_status",
    "set_flow",
    "set_flow_key",
    "set_schedule",
    "status",
    "why_waiting",
    "workers",
]
