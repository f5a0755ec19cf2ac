"""``python -m chaos.figures [NAME ...]``: measure, print the table, and say what was missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from chaos.figures.run import measure
from chaos.figures.schedule import FIGURES, Measured
from chaos.figures.table import as_text, write_json, write_report
from tests.harness.dispositions import let_children_heed

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    unknown = [name for name in options.names if name not in FIGURES]
    if unknown:
        sys.exit(f"no figure is named {unknown[0]!r}; there are {', '.join(FIGURES)}")
    result = measure(options.names, quick=options.quick, seed=options.seed, told=_tell)
    print(f"\n{as_text(result.rows)}\n")
    for name, value in result.about.items():
        print(f"{name}: {value}")
    if options.json:
        write_json(Path(options.json), result.rows, result.about)
    if options.report:
        write_report(Path(options.report), result.rows, result.about)
    return 0 if result.ok else 1


def _tell(measured: Measured) -> None:
    """A line as soon as it is known: the whole takes a quarter of an hour."""
    missed = sum(row.ok is False for row in measured.rows)
    said = f"{missed} missed" if missed else "ok"
    print(f"{measured.name}: {said} ({measured.seconds:.0f} s)", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos.figures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)}; all")
    parser.add_argument("--quick", action="store_true", help="shortened waits, the same targets")
    parser.add_argument("--seed", type=int, help="of what is drawn; random if not given")
    parser.add_argument("--json", metavar="FILE", help="write the rows there, too")
    parser.add_argument("--report", metavar="DIR", help="write figures.md and figures.json there")
    return parser


if __name__ == "__main__":
    let_children_heed()
    sys.exit(main())
