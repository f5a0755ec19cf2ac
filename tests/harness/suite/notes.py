"""What became of each test, noted in a file as it happens; a plugin of pytest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TextIO

import pytest

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("pgqueue").addoption(
        "--suite-notes", metavar="FILE", help="note what became of each test"
    )


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("suite_notes")
    if path and not hasattr(config, "workerinput"):  # the processes of xdist tell the first one
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115
        config.add_cleanup(file.close)
        config.pluginmanager.register(_Notes(file), "pgqueue-notes")


class _Notes:
    """One line for each phase of a test; a process that dies leaves what it has said so far."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def _note(self, **said: Any) -> None:
        self._file.write(json.dumps(said) + "\n")
        self._file.flush()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        failed = report.outcome == "failed"
        self._note(
            test=report.nodeid,
            outcome=report.outcome,
            phase=report.when,
            seconds=round(report.duration, 3),
            log=_log(report) if failed else "",
        )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._note(collected=[item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._note(collected=list(ids))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome == "failed":
            self._note(broken=f"{report.nodeid or 'the suite'} cannot be collected")

    def pytest_internalerror(self, excrepr: object) -> None:
        self._note(broken=f"pytest failed: {str(excrepr).strip().splitlines()[-1]}")


def _log(report: pytest.TestReport) -> str:
    """The failure, and what the test printed and logged."""
    parts = [report.longreprtext]
    parts += [f"--- {title}\n{text}" for title, text in report.sections]
    return "\n".join(parts)
