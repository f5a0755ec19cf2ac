"""Flask: each job runs in the application's context, and its database session is removed.

app = pgqueue.App(around=hooks.flask.around(flask_app, session=db.session))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from flask import Flask, current_app, has_app_context

from pgqueue.errors import ConfigError
from pgqueue.running import RunningJob

__all__ = ["AsyncAppContext", "Session", "SyncAppContext", "around"]


class Session(Protocol):
    """A scoped session of SQLAlchemy, as ``db.session``."""

    def remove(self) -> Any:
        """Close the session of the present scope."""
        ...


class _AppContext:
    """What both hooks know. ``app``: the application, or a function that makes it."""

    def __init__(self, app: Flask | Callable[[], Flask], session: Session | None) -> None:
        if session is not None and not callable(getattr(session, "remove", None)):
            raise ConfigError(f"session must have remove(), as db.session has, got {session!r}")
        if not isinstance(app, Flask) and not callable(app):
            raise ConfigError(f"app must be a Flask application or a function, got {app!r}")
        self._given = app
        self._app = app if isinstance(app, Flask) else None
        self._session = session

    @property
    def app(self) -> Flask:
        """The application; a function is called once, with the first job."""
        if self._app is None:
            made: object = self._given()  # type: ignore[call-arg]  # pyright: ignore
            if not isinstance(made, Flask):
                raise ConfigError(f"{self._given!r} returned {made!r}, no Flask application")
            self._app = made
        return self._app

    def is_active(self, job: RunningJob) -> bool:
        """Return whether the application's context was pushed already, as in a request.

        Of a function each application counts where a test drains: it has made its own. What a
        worker was started in does not count: all its jobs would share that context.
        """
        if not has_app_context():
            return False
        if not isinstance(self._given, Flask) and job.is_drained:
            return True
        active: Any = current_app
        return active._get_current_object() is self.app


class SyncAppContext(_AppContext):
    """The hook of tasks without async."""

    def __call__(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
        """Run the job in the application's context, unless that is active."""
        if self.is_active(job):
            return call_next()
        with self.app.app_context():
            try:
                return call_next()
            finally:
                if self._session is not None:
                    self._session.remove()


class AsyncAppContext(_AppContext):
    """The hook of async tasks."""

    async def __call__(self, job: RunningJob, call_next: Callable[[], Awaitable[Any]]) -> Any:
        """Run the job in the application's context, unless that is active."""
        if self.is_active(job):
            return await call_next()
        with self.app.app_context():
            try:
                return await call_next()
            finally:
                if self._session is not None:
                    removed = self._session.remove()
                    if isinstance(removed, Awaitable):  # of an async_scoped_session
                        await removed


def around(
    app: Flask | Callable[[], Flask], *, session: Session | None = None
) -> list[SyncAppContext | AsyncAppContext]:
    """Return the hooks of a Flask application, for tasks of both kinds.

    ``app``: the application, or a function without arguments that makes it: it is called once,
    with the first job. ``session``: a scoped session to remove after each job (``db.session``).
    Inside a context of the same application, as in a request or a test, no other one is pushed,
    and the session stays; of a function, any application counts where a test drains. Raises
    ConfigError for anything else.
    """
    return [SyncAppContext(app, session), AsyncAppContext(app, session)]
