"""The Python of the README and of the guide, as files that a type checker reads.

A block of the guide is a program of its own, as in ``tests/guide/page.py``. The blocks of the
README go on from each other, and use names that a reader's program has: they are one function.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

__all__ = ["LOOSE", "ROOT", "write_pages"]

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ((?:\w+/)*\w+\.py)\n")
# Models of Django and hooks are mostly written without annotations.
LOOSE = {"django", "flask", "hooks", "testing"}
_WRONG = {"errors"}  # whose code is mistakes
_README = '''"""The blocks of the README, in their order."""

from sqlalchemy.orm import Session


async def readme(dsn: str, session: Session, ids: list[int]) -> None:
'''


def write_pages(project: Path, *, strict: bool) -> None:
    """Write the README, and a directory for each page of the guide that has Python in it.

    ``strict``: the pages whose code is annotated throughout, or the others.
    """
    if strict:
        _write_readme(project)
    for page in sorted((ROOT / "docs" / "guide").rglob("*.md")):
        if page.stem in _WRONG or (page.stem in LOOSE) is strict:
            continue
        text = page.read_text()
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            name = named[1] if (named := _FILE.match(match[1])) else f"line_{line}.py"
            file = project / page.stem.replace("-", "_") / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(match[1])


def _write_readme(project: Path) -> None:
    home = project / "readme"
    home.mkdir()
    blocks = _BLOCK.findall((ROOT / "README.md").read_text())
    (home / "readme.py").write_text(_README + textwrap.indent("\n".join(blocks), "    "))
