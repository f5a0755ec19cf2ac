"""``python -m tests.harness.suite --log DIR -- tests -x``: the parts, the further tries, a verdict.

What comes after ``--`` is for pytest. DIR keeps what pytest noted, the output of each test that
failed, and run.json. Which tests were unsteady in their last run is remembered beside it, in
``unsteady.json``, so that it outlives the run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.harness.suite import verdict as rules
from tests.harness.suite.pytests import Pytests
from tests.harness.suite.report import Run, as_text, last_line, slowest
from tests.harness.suite.results import Notes, Result
from tests.harness.suite.selection import PARTS

TRIES = ("again, first", "again, second")


def main() -> int:
    options = _parser().parse_args()
    # The tests start programs by the thousand: each would compile all that it imports anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    home: Path = options.log
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)

    # One process of xdist is started for those alone as well: when it dies, the rest goes on.
    one = "0" if options.workers == "0" else "1"
    pytests = Pytests(home, long=options.long)
    parts: list[Notes] = []
    for part in PARTS if options.only is None else (options.only,):
        workers = options.workers if part == "together" else one
        # Who has none left takes tests of others: heavy ones stand together in a few files.
        how = [f"--suite-part={part}", "-n", workers, "--dist", "worksteal"]
        parts.append(pytests.run(part, [*how, *options.pytest]))
    first = {test: result for notes in parts for test, result in notes.results.items()}
    failed = rules.failures(first)
    tries: list[Notes] = []
    if 0 < len(failed) <= rules.WORTH_A_TRY:
        tries = [pytests.run_only(name, failed, one) for name in TRIES]

    # Read as late as this: another run may have ended meanwhile.
    record_file = home.parent.parent / "unsteady.json"
    record = json.loads(record_file.read_text()) if record_file.exists() else []
    verdict = rules.judge(
        first,
        [notes.results for notes in tries],
        broken=[what for notes in parts for what in notes.broken],
        record=record,
    )
    record_file.write_text(json.dumps(sorted(rules.remember(record, first, verdict)), indent=1))
    logs = _keep_logs(home, failed, [first, *(notes.results for notes in tries)])
    run = Run(options.name, verdict, pytests.seconds, slowest(first), logs)
    run.write(home / "run.json")
    print(as_text([run]))
    print(last_line([verdict.counts]))
    return 1 if verdict.counts[1] else 0


def _keep_logs(home: Path, failed: list[str], rounds: list[Mapping[str, Result]]) -> dict[str, str]:
    """Write down what each failed test said, each time; return where."""
    logs: dict[str, str] = {}
    for number, test in enumerate(failed, 1):
        file = home / f"failed-{number}.log"
        said = [results[test] for results in rounds if test in results]
        texts = [f"{test}\n{n}. run: {r.outcome}\n{r.log}\n" for n, r in enumerate(said, 1)]
        file.write_text("\n".join(texts))
        logs[test] = str(file)
    return logs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.suite")
    parser.add_argument("--name", default="make test", help="of the run, in its summary")
    parser.add_argument("--log", type=Path, default=Path(".venvs/logs/test"), metavar="DIR")
    parser.add_argument(
        "--workers", default="auto", help="processes for tests that bear neighbours"
    )
    parser.add_argument(
        "--long", action="store_true", help="also the tests that are marked as long"
    )
    parser.add_argument("--only", choices=PARTS, help="this part, without the other")
    parser.add_argument("pytest", nargs="*", help="after --: arguments for pytest")
    return parser


if __name__ == "__main__":
    sys.exit(main())
