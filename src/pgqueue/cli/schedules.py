"""``pgqueue schedules``: list, preview, history, pause, resume, run, set, reset, remove."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import timezone
from typing import Any

import click

from pgqueue.admin.schedule_info import ScheduleFire, ScheduleInfo
from pgqueue.cli.changes import changes
from pgqueue.cli.enqueue import read_moment, read_object
from pgqueue.cli.group import Group
from pgqueue.cli.options import SECONDS, Names, connection_options, json_option, open_client
from pgqueue.cli.output import ago, moment, print_json, print_table
from pgqueue.client import Client
from pgqueue.observe.plain import plain
from pgqueue.operations.schedules import Schedules

__all__ = ["schedules"]


@click.group(cls=Group)
@connection_options
def schedules() -> None:
    """List, preview, pause, run, set schedules."""


def _verbs(client: Client, actor: str | None, reason: str | None) -> Schedules:
    return client.schedules.by(actor, reason=reason, via="cli")


@schedules.command("list")
@json_option
@connection_options
def list_(as_json: bool) -> None:
    """List the schedules: when they fire next, and what an operator changed."""
    with open_client() as client:
        found = client.schedules.list()
    if as_json:
        print_json(found)
        return
    print_table(
        ("schedule", "state", "task", "when", "zone", "next", "last fired", "changed by"),
        [
            (s.name, s.state.value, s.task, s.when, s.zone, _next(s), s.fired_at, s.changed_by)
            for s in found
        ],
        empty="no schedules",
    )
    for schedule in found:
        for said in _both_values(schedule):
            click.echo(said)


def _next(schedule: ScheduleInfo) -> str:
    if schedule.state != "active":
        return ""
    late = schedule.late_seconds
    return moment(schedule.next_at) + (f" ({ago(late)} late)" if late >= 1 else "")


def _both_values(schedule: ScheduleInfo) -> list[str]:
    """Say what an operator set in place of what code declares."""
    if schedule.declared is None or schedule.changed is None:
        return []
    return [
        plain(f'"{schedule.name}": {key} is {_value(value)}, in code {_value(declared)}')
        for key, value in schedule.changed.items()
        if (declared := schedule.declared.get(key)) != value
    ]


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {one}" for key, one in value.items())  # pyright: ignore[reportUnknownVariableType]
    return "not set" if value is None else str(value)


@schedules.command()
@click.argument("name")
@click.option("-n", "--count", type=int, default=5, show_default=True, help="How many.")
@json_option
@connection_options
def preview(name: str, count: int, as_json: bool) -> None:
    """Show the next slots, on the clock of the schedule's zone and in UTC."""
    with open_client() as client:
        slots = client.schedules.preview(name, count)
    if as_json:
        print_json(slots)
        return
    print_table(
        ("slot", "in UTC", "the job is due", ""),
        [
            (slot.wall.isoformat(" "), slot.at, slot.due_at if slot.due_at != slot.at else "",
             slot.note)
            for slot in slots
        ],
        empty="no slots",
    )  # fmt: skip


@schedules.command()
@click.argument("name")
@json_option
@connection_options
def history(name: str, as_json: bool) -> None:
    """Show the last slots, up to twenty, and what became of each."""
    with open_client() as client:
        fires = client.schedules.history(name)
    if as_json:
        print_json(fires)
        return
    print_table(
        ("slot", "fired", "what"),
        [(fire.slot, fire.at.astimezone(timezone.utc), _what(fire)) for fire in fires],  # noqa: UP017
        empty="it has not fired yet",
    )


def _what(fire: ScheduleFire) -> str:
    if fire.missed:
        return f"{fire.missed:,} slots from here on got no job"
    if fire.job_id is None:
        return "its code wanted no job"
    if fire.duplicate:
        return f"no job: job {fire.job_id} had its unique key"
    return f"job {fire.job_id}"


@schedules.command()
@click.argument("name")
@changes
@connection_options
def pause(name: str, actor: str | None, reason: str | None) -> None:
    """Stop a schedule, also over deploys. Slots of the pause are never made up."""
    with open_client() as client:
        changed = _verbs(client, actor, reason).pause(name)
    click.echo(f'schedule "{plain(name)}" {"is paused" if changed else "was paused already"}')


@schedules.command()
@click.argument("name")
@changes
@connection_options
def resume(name: str, actor: str | None, reason: str | None) -> None:
    """Let a schedule fire again, from its next slot on."""
    with open_client() as client:
        changed = _verbs(client, actor, reason).resume(name)
    click.echo(f'schedule "{plain(name)}" {"is resumed" if changed else "was not paused"}')


@schedules.command()
@click.argument("name")
@changes
@json_option
@connection_options
def run(name: str, actor: str | None, reason: str | None, as_json: bool) -> None:
    """Enqueue a job of a schedule now. Its slots stay as they are."""
    with open_client() as client:
        made = _verbs(client, actor, reason).run(name)
    if as_json:
        print_json(made)
    elif made is None:
        click.echo(f'the code of schedule "{plain(name)}" wants no job now')
    elif made.replaced:
        click.echo(f"job {made.id} waited with its unique key, and was changed ({made.state})")
    elif made.duplicate:
        click.echo(f"job {made.id} has its unique key already ({made.state}); none was made")
    else:
        click.echo(f"job {made.id} is {made.state}")


@schedules.command("set")
@click.argument("name")
@click.option("--task", help="The task of its jobs.")
@click.option("--args", metavar="JSON", help="Its arguments, an object; - reads stdin.")
@click.option("--cron", help="As '30 2 * * *', or six fields with seconds first.")
@click.option("--every", type=SECONDS, help="An interval: 90s, 15m, 12h.")
@click.option("--anchor", metavar="TIME", help="Where --every counts from [default: 1970, UTC].")
@click.option("--zone", help="The time zone of --cron, as Europe/Berlin [default: UTC].")
@click.option("--misfire", type=Names("policy", ("last", "skip", "all")), help="For late slots.")
@click.option("--misfire-most", type=int, help="So many jobs at a fire, with --misfire all.")
@click.option("--grace", type=SECONDS, help="A slot is late after so long [default: 60s].")
@click.option("--jitter", type=SECONDS, help="Jobs are due up to so much later.")
@click.option("--overlap", type=Names("rule", ("allow", "skip")), help="While one is alive.")
@click.option("--queue", help="The queue of its jobs.")
@click.option("--priority", type=int, help="0 (first) to 9 (last).")
@click.option("--max-attempts", type=int, help="How often a job is tried.")
@click.option("--timeout", type=SECONDS, help="How long an attempt may take.")
@click.option("--expires", type=SECONDS, help="After so long no attempt begins any more.")
@changes
@connection_options
def set_(name: str, actor: str | None, reason: str | None, args: str | None, **given: Any) -> None:
    """Make a schedule, or change one. What is not given stays as it is.

    A change of a schedule that code declares wins over the code, also after deploys, until
    "pgqueue schedules reset".
    """
    settings = {key: value for key, value in given.items() if value is not None}
    if args is not None:
        settings["args"] = read_object(sys.stdin.read() if args == "-" else args, "--args")
    if "anchor" in settings:
        settings["anchor"] = read_moment(settings["anchor"])
    with open_client() as client:
        verbs = _verbs(client, actor, reason)
        is_new = verbs.set(name, **settings)
        slots = verbs.preview(name, 1)
    click.echo(
        f'schedule "{plain(name)}" is {"made" if is_new else "changed"}; its next slot is '
        f"{moment(slots[0].at)}"
    )


@schedules.command()
@click.argument("name")
@changes
@connection_options
def reset(name: str, actor: str | None, reason: str | None) -> None:
    """Let code say again how a schedule is. A pause stays."""
    with open_client() as client:
        changed = _verbs(client, actor, reason).reset(name)
    said = "is as its code declares it" if changed else "was as its code declares it already"
    click.echo(f'schedule "{plain(name)}" {said}')


@schedules.command()
@click.argument("name")
@changes
@connection_options
def remove(name: str, actor: str | None, reason: str | None) -> None:
    """Delete a schedule that no worker's code declares."""
    with open_client() as client:
        _verbs(client, actor, reason).remove(name)
    click.echo(f'schedule "{plain(name)}" is removed')
