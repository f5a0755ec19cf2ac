"""The commands of an example's README, by heading: what it says is what is run."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["EXAMPLES", "commands"]

EXAMPLES = sorted(page.parent for page in Path(__file__).parents[2].glob("examples/*/README.md"))
_PART = re.compile(r"^## (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands(example: Path, heading: str) -> list[str]:
    """The lines of the shell's blocks below that heading."""
    parts = _PART.split((example / "README.md").read_text())
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    return [line for block in _BLOCK.findall(texts[heading]) for line in block.splitlines()]
