"""Defects of single statements."""

from __future__ import annotations

from chaos.mutants.patch import replace_text

__all__ = [
    "attempt_burnt",
    "attempt_not_counted",
    "claim_steals",
    "crash_not_counted",
    "eager_rescue",
    "fence_dropped",
    "flow_promoted",
    "history_lost",
    "permits_ignored",
    "permits_uncounted",
    "place_lost",
    "promoted_early",
    "slots_doubled",
    "slots_early",
    "slots_passed",
    "slots_uncounted",
    "snooze_counts",
    "tickets_lost",
    "tokens_ignored",
]

_TAKE_PERMITS = ':"schema".take_permits($1::text, $2::bigint, $3::integer, $4::integer)'


def fence_dropped() -> None:
    """A completion does not compare the claim's token."""
    replace_text(
        "finish_jobs",
        " and coalesce(job.claim_token, 0) = receipt.token\n      and job.worker_id is not null",
        "",
    )


def attempt_not_counted() -> None:
    """A claim does not count the attempt."""
    replace_text("claim_jobs", "attempt = least(attempt, 2147483646) + 1", "attempt = attempt")


def claim_steals() -> None:
    """A claim takes what others have claimed."""
    replace_text("claim_jobs", "and job.worker_id is null", "and job.id % 20 < 21")


def attempt_burnt() -> None:
    """What a stop releases has used up its attempt."""
    replace_text(
        "release_jobs",
        "attempt = job.attempt + receipt.change",
        "attempt = job.attempt + case when receipt.delay is null then 0 else receipt.change end",
    )


def snooze_counts() -> None:
    """A snooze uses up an attempt."""
    replace_text(
        "release_jobs",
        "attempt = job.attempt + receipt.change",
        "attempt = job.attempt + case when receipt.delay is null then receipt.change else 0 end",
    )


def promoted_early() -> None:
    """A scheduled job is made ready two seconds before it is due."""
    replace_text(
        "promote_jobs",
        "run_at <= statement_timestamp()",
        "run_at <= statement_timestamp() + interval '2 seconds'",
    )


def eager_rescue() -> None:
    """A worker is suspected after half a second, and a rescue does not check the lease again."""
    replace_text(
        "renew_lease",
        "heartbeat_at + make_interval(secs => lease_seconds)",
        "heartbeat_at + interval '0.5 s'",
    )
    replace_text(
        "lock_lost_worker",
        "clock_timestamp() > heartbeat_at + make_interval(secs => lease_seconds)",
        "true",
    )


def history_lost() -> None:
    """Some completed jobs are taken out, and not written into history."""
    replace_text("finish_jobs", "    from gone\n", "    from gone where id % 50 <> 0\n")


def crash_not_counted() -> None:
    """A rescue does not count the crash."""
    replace_text(
        "rescue_jobs",
        "crash_count = least(job.crash_count, 32766) + blamed::integer",
        "crash_count = job.crash_count",
    )


def slots_passed() -> None:
    """A fire passes over the slots of two seconds."""
    replace_text(
        "fire_slots",
        "next_at = taken.following_at",
        "next_at = taken.following_at + interval '2 seconds'",
    )


def slots_early() -> None:
    """A slot fires a second before it is due."""
    replace_text(
        "find_slots",
        "clock_timestamp() as now",
        "clock_timestamp() + interval '1 second' as now",
    )
    replace_text("fire_slots", "and schedule.next_at <= clock_timestamp()", "")


def slots_doubled() -> None:
    """A fire does not compare the slot that it was decided for."""
    for condition in (
        "and schedule.next_at = asked.due_at",
        "and schedule.revision = asked.revision",
        "and schedule.next_at <= clock_timestamp()",
    ):
        replace_text("fire_slots", condition, "")
    replace_text("fire_slots", "for update skip locked", "for update")


def slots_uncounted() -> None:
    """An admission does not see what holds a slot."""
    replace_text("admit_jobs", "then $3::bigint else 0", "then $3::bigint + 100000 else 100000")


def flow_promoted() -> None:
    """A job of a flow is ready as soon as it is due."""
    replace_text(
        "promote_jobs", "position = case when job.flow is null", "position = case when true"
    )


def place_lost() -> None:
    """A retry leaves the line of its key open, also where order matters."""
    replace_text("release_flow_jobs", "@> '{\"ordered\": true}'", "@> '{\"ordered\": 0}'")


def tickets_lost() -> None:
    """A completion does not say that a slot is free."""
    replace_text("finish_flow_jobs", "where flow is not null", "where false")


def permits_ignored() -> None:
    """A worker runs as many jobs of a queue as it wants to, whatever permits it got."""
    replace_text("take_leave", "select may, held", "select $3::integer as may, held")


def permits_uncounted() -> None:
    """A worker writes down as many permits as it wants, and does not see those of others."""
    replace_text(
        "take_leave",
        "select may, held",
        'with written as (insert into :"schema".permit values'
        " ($1::text, $2::bigint, $3::integer, $3::integer, clock_timestamp())"
        " on conflict (queue, worker_id) do update set n = excluded.n, wants = excluded.wants)\n"
        "select may, held",
    )
    replace_text(
        "take_leave",
        _TAKE_PERMITS,
        "(select $3::integer as may, $3::integer as held where $4::integer is not null) as taken",
    )


def tokens_ignored() -> None:
    """A worker uses as many tokens as it can, whatever it got."""
    replace_text("take_leave", "tokens, first, each", "$5::integer as tokens, first, each")
