"""The Python of the README and of the guide, as files that a type checker reads.

A block of the guide is a program of its own, as in ``tests/guide/page.py``. The blocks of the
README go on from each other, and use names that a reader's program has: they are one function.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

__all__ = ["ROOT", "write_pages"]

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (\w+\.py)\n")
_README = '''"""The blocks of the README, in their order."""

from sqlalchemy.orm import Session


async def readme(dsn: str, session: Session, ids: list[int]) -> None:
'''


def write_pages(project: Path) -> None:
    """Write the README, and a directory for each page of the guide that has Python in it."""
    home = project / "readme"
    home.mkdir()
    blocks = _BLOCK.findall((ROOT / "README.md").read_text())
    (home / "readme.py").write_text(_README + textwrap.indent("\n".join(blocks), "    "))
    for page in sorted((ROOT / "docs" / "guide").glob("*.md")):
        text = page.read_text()
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            name = named[1] if (named := _FILE.match(match[1])) else f"line_{line}.py"
            home = project / page.stem.replace("-", "_")
            home.mkdir(exist_ok=True)
            (home / name).write_text(match[1])
