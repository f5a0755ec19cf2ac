"""Write the pages of the reference: ``python -m tests.reference``."""

from __future__ import annotations

from tests.reference.render import HOME, pages

HOME.mkdir(exist_ok=True)
for name, text in pages().items():
    (HOME / name).write_text(text)
