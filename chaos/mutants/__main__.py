"""``python -m chaos.mutants [NAME...]``: does a short torture find each of these defects?"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from chaos.arenas.ground import Ground
from chaos.checker import Verdict
from chaos.mutants.catalogue import FAULTS, MUTANTS, Mutant, setup_of
from chaos.torture import SERVER_SETTINGS, torture
from tests.harness.dispositions import let_children_heed
from tests.harness.servers import Server, chosen, own_server

__all__ = ["hunt", "main"]

_LAST_BEGINS = 35.0  # seconds; one takes a quarter of a minute


def hunt(server: Server, mutant: Mutant, home: Path) -> Verdict:
    """Run the torture that is to expose this defect, and check it.

    Again if it did not, as long as it is over within the minute that a defect has: what a strike
    hits is a matter of moments, the more so on a busy machine.
    """
    began = time.monotonic()
    turn = 0
    while True:
        house = home / str(turn)
        house.mkdir()
        house.chmod(0o755)
        with contextlib.redirect_stdout(io.StringIO()):
            verdict = torture(
                Ground(server), setup_of(mutant), mutant.plan, house, catalogue=FAULTS
            )
        if mutant.by & verdict.violations.keys() or time.monotonic() > began + _LAST_BEGINS:
            return verdict
        turn += 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MUTANTS))
    parser.add_argument("--keep", action="store_true", help="keep the histories")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in MUTANTS:
            sys.exit(f'no mutant is named "{name}"; there are {", ".join(MUTANTS)}')
    survived = 0
    with own_server(chosen()[-1] or 18, settings=SERVER_SETTINGS) as server:
        for name in options.names or MUTANTS:
            mutant = MUTANTS[name]
            home = Path(tempfile.mkdtemp(prefix=f"pgqueue-mutant-{name}-"))
            home.chmod(0o755)
            began = time.monotonic()
            verdict = hunt(server, mutant, home)
            caught = mutant.by & verdict.violations.keys()
            survived += not caught
            fate = f"caught by {', '.join(sorted(caught))}" if caught else "SURVIVED"
            others = ", ".join(sorted(verdict.violations.keys() - caught))
            print(
                f"{name:>20}  {fate:<24} {time.monotonic() - began:5.1f} s  {mutant.about}"
                + (f"  (besides: {others})" if others else ""),
                flush=True,
            )
            if options.keep:
                print(f"{'':>20}  {home}")
            else:
                shutil.rmtree(home)
    return 1 if survived else 0


if __name__ == "__main__":
    let_children_heed()
    sys.exit(main())
