"""Rows of the view ``jobs`` to values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from pgqueue.admin.info import AttemptError, JobInfo
from pgqueue.job import JobState

__all__ = ["job_info"]


def job_info(row: Mapping[str, Any]) -> JobInfo:
    """Make a JobInfo of a row of the view ``jobs``; whatever it holds, this does not fail."""
    values = dict(row)
    values["state"] = JobState(row["state"])
    values["run_at"] = None if row["state"] == JobState.BLOCKED else row["run_at"]
    values["args"] = _load(row["args"])
    values["metadata"] = _load(row["metadata"])
    values["tags"] = tuple(tag or "" for tag in row["tags"] or ())
    loaded = _load(row["errors"])
    entries = cast("list[object]", loaded) if isinstance(loaded, list) else []
    values["errors"] = tuple(_attempt_error(entry) for entry in entries)
    return JobInfo(**values)


def _load(text: Any) -> Any:
    """JSON to values; what Python cannot take in (too deep, too long a number) stays text."""
    if not isinstance(text, str):
        return text  # None; or what a codec of the caller's has made of it
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _attempt_error(entry: object) -> AttemptError:
    of = cast("dict[str, object]", entry) if isinstance(entry, dict) else {"message": entry}
    attempt = of.get("attempt")
    return AttemptError(
        attempt=attempt if isinstance(attempt, int) else None,
        at=_moment(of.get("at")),
        type=str(of.get("type", "")),
        message=str(of.get("message", "")),
        traceback=str(of.get("traceback", "")),
        worker=str(of.get("worker", "")),
        claimed_at=_moment(of.get("claimed_at")),
    )


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
