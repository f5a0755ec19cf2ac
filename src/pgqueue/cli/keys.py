"""``pgqueue keys``: the keys of a flow, and what an operator says of them."""

from __future__ import annotations

from typing import Any

import click

from pgqueue.cli.changes import changes
from pgqueue.cli.flow_text import print_keys
from pgqueue.cli.options import connection_options, json_option, limit_option, open_client
from pgqueue.cli.output import print_json
from pgqueue.observe.plain import plain
from pgqueue.operations.flows import Flows

__all__ = ["keys"]


@click.command()
@click.argument("flow")
@click.option("--pause", metavar="KEY", help="Admit no more jobs of this key.")
@click.option("--resume", metavar="KEY", help="Admit them again: after a pause, a halt, a break.")
@click.option("--weight", metavar="KEY=N", help="N turns where other keys have one; or none.")
@click.option("--concurrency", metavar="KEY=N", help="So many of its jobs run at once; or none.")
@click.option("--reset", metavar="KEY", help="Treat it as the other keys.")
@click.option("--new", is_flag=True, help="Also where the key has no jobs yet.")
@click.option("--stopped", is_flag=True, help="List only keys that stand still.")
@click.option("--after", metavar="KEY", help="List only keys behind this one: the next page.")
@limit_option
@changes
@json_option
@connection_options
def keys(
    flow: str,
    *,
    new: bool,
    stopped: bool,
    after: str | None,
    limit: int,
    actor: str | None,
    reason: str | None,
    as_json: bool,
    **given: str | None,
) -> None:
    """List the keys of a flow, by name, or change one of them."""
    asked = {verb: value for verb, value in given.items() if value is not None}
    with open_client() as client:
        verbs = client.flows.by(actor, reason=reason, via="cli")
        said = [_change(verbs, flow, verb, value, new=new) for verb, value in asked.items()]
        found = [] if asked else verbs.keys(flow, stopped=stopped, limit=limit, after=after)
    for line in said:
        click.echo(plain(line))
    if as_json and not asked:
        print_json(found)
    elif not asked:
        print_keys(found, flow=flow, limit=limit)


def _change(verbs: Flows, flow: str, verb: str, value: str, *, new: bool) -> str:
    """Make one change, and say what came of it."""
    if verb in ("weight", "concurrency"):
        key, number = _split(verb, value)
        changed = verbs.set(flow, key=key, new=new, **{verb: number})  # type: ignore[misc]
        its = f"no {verb} of its own" if number is None else f"{verb} {number:g}"
        said = f"has {its}" if changed else f"had {its} already"
        return f'key "{key}" of flow "{flow}" {said}'
    if verb == "pause":
        changed = verbs.pause(flow, key=value, new=new)
        said = "is paused" if changed else "was paused already"
    elif verb == "resume":
        said = "is resumed" if verbs.resume(flow, key=value) else "did not stand still"
    else:
        changed = verbs.reset(flow, key=value)
        said = "is as the other keys" if changed else "was as the other keys already"
    return f'key "{value}" of flow "{flow}" {said}'


def _split(option: str, value: str) -> tuple[str, Any]:
    key, equals, number = value.rpartition("=")
    try:
        if not equals:
            raise ValueError
        if number == "none":
            return key, None
        return key, int(number) if option == "concurrency" else float(number)
    except ValueError:
        raise click.UsageError(
            f'--{option} takes KEY=N, as in --{option} acme=3; got "{value}"'
        ) from None
