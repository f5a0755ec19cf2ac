"""The type checkers that users have, strict or not: file, line, and what they have against it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.harness.servers import missing

__all__ = ["CHECKERS", "Found"]

Found = dict[str, dict[int, str]]
_SAID = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: (?P<said>.*)$")


def _pyright(project: Path, *, strict: bool = True) -> Found:
    roots = [str(d.relative_to(project)) for d in sorted(project.glob("*")) if d.is_dir()]
    settings = {
        "typeCheckingMode": "strict" if strict else "standard",
        "pythonVersion": "3.11",
        "executionEnvironments": [{"root": root} for root in (*roots, ".")],
    }
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    done = _run("pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(project))
    answer = json.loads(done.stdout)
    assert answer["summary"]["filesAnalyzed"] >= len(list(project.rglob("*.py"))), done.stdout
    found: Found = {}
    for one in answer["generalDiagnostics"]:
        name = str(Path(one["file"]).relative_to(project))
        found.setdefault(name, {})[one["range"]["start"]["line"] + 1] = one["message"]
    return found


def _mypy(project: Path, *, strict: bool = True) -> Found:
    found: Found = {}
    homes = sorted({path.relative_to(project).parts[0] for path in project.rglob("*.py")})
    for home in {project / name if (project / name).is_dir() else project for name in homes}:
        files = home.glob("*.py") if home == project else home.rglob("*.py")
        done = _run(
            "mypy", *(["--strict"] if strict else []), "--python-version", "3.11",
            "--no-error-summary", "--no-pretty", "--explicit-package-bases",
            *([] if strict else ["--disable-error-code", "var-annotated"]),
            "--config-file", os.devnull, "--cache-dir", str(project / ".mypy_cache"),
            "--python-executable", sys.executable,
            *sorted(str(path.relative_to(home)) for path in files),
            cwd=home,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stdout + done.stderr
        for line in done.stdout.splitlines():
            if match := _SAID.match(line):
                name = str((home / match["file"]).relative_to(project))
                found.setdefault(name, {})[int(match["line"])] = match["said"]
        assert bool(done.returncode) == bool(done.stdout), done.stdout + done.stderr
    return found


def _run(name: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = shutil.which(name, path=path) or missing(f"{name} is not installed")
    return subprocess.run(
        [command, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=600
    )


CHECKERS = {"pyright": _pyright, "mypy": _mypy}
