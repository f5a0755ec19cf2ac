"""``pgqueue flows``: list, show, set, reset, pause, resume, usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from pgqueue.admin.flow_info import FlowInfo
from pgqueue.cli.changes import changes
from pgqueue.cli.flow_text import both_values, in_force, limits_of, print_keys, tokens
from pgqueue.cli.group import Group
from pgqueue.cli.options import LIMIT, connection_options, json_option, open_client
from pgqueue.cli.output import Failed, ago, print_json, print_pairs, print_table
from pgqueue.client import Client
from pgqueue.errors import nearest
from pgqueue.observe.plain import plain
from pgqueue.operations.flows import Flows

__all__ = ["flows"]

_KEYS_SHOWN = 20


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
@connection_options
def flows(ctx: click.Context) -> None:
    """List, show, set, pause flows: limits and turns of keys. Alone, it lists them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@flows.command("list")
@json_option
@connection_options
def list_(as_json: bool = False) -> None:
    """List the flows: what they hold, their limits, and what an operator changed."""
    with open_client() as client:
        found = client.flows.list()
    if as_json:
        print_json(found)
        return
    print_table(
        ("flow", "state", "running", "admitted", "in line", "keys", "oldest", "tokens", "limits"),
        [
            (
                f.name, f.state.value, f.running, f.admitted, f.waiting, f.keys,
                ago(f.oldest_seconds), tokens(f.tokens), in_force(f),
            )
            for f in found
        ],
        empty="no flows",
    )  # fmt: skip
    for flow in found:
        for said in both_values(flow):
            click.echo(said)


@flows.command()
@click.argument("name")
@json_option
@connection_options
def show(name: str, as_json: bool) -> None:
    """Show a flow in full, with its first keys."""
    with open_client() as client:
        flow = _find(client, name)
        keys = client.flows.keys(name, limit=_KEYS_SHOWN)
    if as_json:
        fields = {field: getattr(flow, field) for field in flow.__struct_fields__}
        print_json({**fields, "first_keys": keys})
        return
    print_pairs(
        (
            ("flow", flow.name),
            ("state", flow.state.value),
            ("limits", in_force(flow) or "none"),
            ("in code", None if flow.declared is None else limits_of(flow.declared) or "none"),
            ("changed", "; ".join(both_values(flow))),
            ("changed by", flow.changed_by),
            ("changed at", flow.changed_at),
            ("paused since", flow.paused_at),
            ("held until", flow.held_until),
            ("running", flow.running),
            ("admitted", flow.admitted),
            ("in line", flow.waiting),
            ("keys in line", flow.keys),
            ("keys that stand still", flow.paused_keys or None),
            ("oldest in line", ago(flow.oldest_seconds)),
            ("tokens left", tokens(flow.tokens)),
        )
    )
    click.echo()
    print_keys(keys, flow=name, limit=_KEYS_SHOWN)


def _find(client: Client, name: str) -> FlowInfo:
    known = {flow.name: flow for flow in client.flows.list()}
    if name not in known:
        raise Failed(f'no flow is named "{name}"{nearest(name, known)}')
    return known[name]


@flows.command("set")
@click.argument("name")
@click.option("--concurrency", type=LIMIT, help="So many of its jobs run at once.")
@click.option("--key-concurrency", type=LIMIT, help="So many of each key run at once.")
@click.option("--rate", help="So many begin in a time: 100/s, 60/min; or none.")
@click.option("--burst", type=LIMIT, help="With --rate: so many may begin at the same moment.")
@click.option("--key-rate", help="As --rate, for each key.")
@click.option("--key-burst", type=LIMIT, help="With --key-rate: so many at the same moment.")
@click.option("--max-waiting", type=LIMIT, help="So many jobs of a key may be in line.")
@click.option("--reset", is_flag=True, help="First forget what was set before.")
@changes
@connection_options
def set_(name: str, actor: str | None, reason: str | None, reset: bool, **given: Any) -> None:
    """Change the limits of a flow at once. What is not given stays; "none" lifts a limit.

    It wins over what code declares, also after deploys, until "pgqueue flows reset".
    """
    wanted = {key: _lifted(value) for key, value in given.items() if value is not None}
    if not wanted and not reset:
        raise click.UsageError("give a limit, or --reset")
    with open_client() as client:
        verbs = _verbs(client, actor, reason)
        if reset:
            verbs.reset(name)
        if wanted:
            verbs.set(name, **wanted)
        flow = _find(client, name)
    click.echo(f'flow "{plain(name)}" now: {plain(in_force(flow) or "no limits")}')


def _lifted(value: object) -> Any:
    return None if value == "none" else value


@flows.command()
@click.argument("name")
@changes
@connection_options
def reset(name: str, actor: str | None, reason: str | None) -> None:
    """Let code say again what the limits of a flow are. A pause stays."""
    with open_client() as client:
        changed = _verbs(client, actor, reason).reset(name)
    said = "is as its code declares it" if changed else "was as its code declares it already"
    click.echo(f'flow "{plain(name)}" {said}')


@flows.command()
@click.argument("name")
@changes
@connection_options
def pause(name: str, actor: str | None, reason: str | None) -> None:
    """Admit no more jobs of a flow, also over deploys. What runs is finished."""
    with open_client() as client:
        changed = _verbs(client, actor, reason).pause(name)
    click.echo(f'flow "{plain(name)}" {"is paused" if changed else "was paused already"}')


@flows.command()
@click.argument("name")
@changes
@connection_options
def resume(name: str, actor: str | None, reason: str | None) -> None:
    """Admit jobs of a flow again; it also ends a break that a server asked for."""
    with open_client() as client:
        changed = _verbs(client, actor, reason).resume(name)
    click.echo(f'flow "{plain(name)}" {"is resumed" if changed else "did not stand still"}')


@flows.command()
@click.argument("name")
@click.option("--key", help="Only this key.")
@click.option("--days", type=int, default=7, show_default=True, help="Today and those before it.")
@json_option
@connection_options
def usage(name: str, key: str | None, days: int, as_json: bool) -> None:
    """Show what jobs said that they used, by day in UTC and key."""
    with open_client() as client:
        found = client.flows.usage(name, key=key, days=days)
    if as_json:
        rows: list[Mapping[str, Any]] = [
            {"key": one.key, "day": one.day.isoformat(), "jobs": one.jobs, "used": one.used}
            for one in found
        ]
        print_json(rows)
        return
    print_table(
        ("day", "key", "jobs", "used"),
        [(one.day, one.key, one.jobs, f"{one.used:,.6g}") for one in found],
        empty="no job has said what it used",
    )


def _verbs(client: Client, actor: str | None, reason: str | None) -> Flows:
    return client.flows.by(actor, reason=reason, via="cli")
