"""The code that users copy passes their type checkers, strict where it is annotated throughout."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.typing.checkers import CHECKERS
from tests.typing.pages import write_pages


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "loose"])
@pytest.mark.parametrize("checker", CHECKERS)
def test_the_code_of_readme_and_guide_is_accepted(
    checker: str, strict: bool, tmp_path: Path
) -> None:
    write_pages(tmp_path, strict=strict)
    assert len(list(tmp_path.rglob("*.py"))) > 3
    assert CHECKERS[checker](tmp_path, strict=strict) == {}
