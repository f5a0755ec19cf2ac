"""``python -m chaos --minutes M --seed N``: runs with faults, and what the checker says of them."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from chaos.arenas import ARENAS
from chaos.arenas.ground import Ground
from chaos.campaign import PLAIN, Part, names_in, run_arena, seconds_of
from chaos.kinds import RARE, STEADY
from chaos.setup import Setup
from chaos.torture import CATALOGUE
from chaos.totals import report, table
from tests.harness.dispositions import let_children_heed

__all__ = ["main"]

_PARTS = ("torture", "arenas")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nobody is left behind
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    asked = options.faults.split(",") if options.faults else []
    wanted = options.parts.split(",")
    _refuse(asked, CATALOGUE, "fault")
    _refuse(wanted, _PARTS, "part")
    if options.arena or options.quiet_run:
        shared = {options.arena or PLAIN: options.minutes * 60.0}
    else:
        shared = seconds_of(options.minutes * 60.0, wanted)
    home = Path(tempfile.mkdtemp(prefix=f"pgqueue-chaos-{seed}-"))
    home.chmod(0o755)
    print(f"seed {seed}: {options.minutes:g} minutes in {', '.join(shared)}", flush=True)

    def choose(ground: Ground) -> list[str]:
        return [] if options.quiet_run else asked or names_in(ground)

    parts: list[Part] = []
    for name, seconds in shared.items():
        setup = Setup(
            seconds=seconds,
            seed=seed,
            jobs=options.jobs,
            rare=STEADY if options.quiet_run else RARE,
            ordered=options.quiet_run,
        )
        part = run_arena(name, setup, home / name, choose=choose, quiet=options.quiet_run)
        print(f"{part.verdict.table}\n", flush=True)
        parts.append(part)
    print(table(parts))
    if options.report:
        report(parts, seed, Path(options.report))
    ok = all(part.verdict.ok for part in parts)
    if not ok:
        print(f"\nseed {seed} failed; what all processes wrote down is in {home}")
    elif options.keep:
        print(f"\nwhat all processes wrote down is in {home}")
    else:
        shutil.rmtree(home)
    return 0 if ok else 1


def _refuse(asked: Sequence[str], known: Collection[str], what: str) -> None:
    for name in asked:
        if name not in known:
            sys.exit(f"no {what} is named {name!r}; there are {', '.join(known)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long faults strike [5]")
    parser.add_argument(
        "--seed", type=int, help="of the plan and the workload; random if not given"
    )
    parser.add_argument("--jobs", type=int, help="stop each run after so many jobs, if sooner")
    parser.add_argument("--faults", help=f"which, with commas between: {', '.join(CATALOGUE)}")
    parser.add_argument(
        "--parts", default="torture", help=f"which, with commas between: {', '.join(_PARTS)}"
    )
    parser.add_argument("--arena", choices=[PLAIN, *ARENAS], help="one run, in this arena")
    parser.add_argument("--quiet-run", action="store_true", help="no faults, and no excuses")
    parser.add_argument("--keep", action="store_true", help="keep the histories")
    parser.add_argument("--report", metavar="DIR", help="write campaign.md and campaign.json there")
    return parser


if __name__ == "__main__":
    let_children_heed()
    sys.exit(main())
