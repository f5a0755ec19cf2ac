"""Write the page of the errors: ``python -m tests.mistakes``."""

from __future__ import annotations

from tests.mistakes.page import PAGE, page

PAGE.write_text(page())
