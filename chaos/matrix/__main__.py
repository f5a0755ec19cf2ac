"""``python -m chaos.matrix [POINT ...] [--times N] [--seed S]``: play the kill matrix."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from chaos.matrix.cases import cases
from chaos.matrix.report import table, write_report
from chaos.matrix.run import matrix
from pgqueue.failpoints import POINTS
from tests.harness.dispositions import let_children_heed
from tests.harness.servers import own_server

__all__ = ["main"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos.matrix", description=__doc__)
    parser.add_argument("points", nargs="*", metavar="POINT", help="by default all")
    parser.add_argument("--times", type=int, default=1, help="how often each cell is played")
    parser.add_argument("--seed", type=int, default=1, help="draws at which visit to strike")
    parser.add_argument("--at-once", type=int, default=6, help="how many are played at a time")
    parser.add_argument("--pg", type=int, default=18, help="the server's major version")
    parser.add_argument("--report", metavar="DIR", help="write matrix.md there")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nobody is left behind
    began = time.monotonic()
    for point in args.points:
        if point not in POINTS:
            parser.error(f"there is no failpoint {point!r}; there are {', '.join(POINTS)}")
    with own_server(args.pg, settings={"max_connections": "300"}) as server:
        rows = matrix(
            server,
            cases(args.points),
            times=args.times,
            seed=args.seed,
            at_once=args.at_once,
            say=lambda text: print(text, flush=True),
        )
        with server.connect() as connection:
            version = connection.info.parameter_status("server_version") or "?"
    print(table(rows))
    if args.report:
        write_report(
            Path(args.report),
            rows,
            postgres=version.split()[0],
            seed=args.seed,
            seconds=time.monotonic() - began,
        )
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    let_children_heed()
    sys.exit(main())
