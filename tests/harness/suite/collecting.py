"""While tests are collected, nothing is garbage; a plugin of pytest.

Python would look again and again through some million objects that stay until the end. Afterwards
they are set aside: what looks for the garbage of a test does not walk over them.
"""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

__all__: list[str] = []


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
