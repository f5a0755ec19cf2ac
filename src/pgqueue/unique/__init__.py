"""Unique jobs: what counts as the same job, and what becomes of the second one."""

from __future__ import annotations
