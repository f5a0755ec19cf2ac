"""Verbs whose changes are noted: ``client.schedules.by("anna", reason="deploy").pause(...)``."""

from __future__ import annotations

import copy
import getpass
import socket
from typing import Self, TypedDict

from pgqueue import admin
from pgqueue.config import check_text
from pgqueue.operations.verbs import Base, here

__all__ = ["Audited", "ChangeOptions", "actor_of"]


class ChangeOptions(TypedDict, total=False):
    """Who changes something, and why; it is noted in the table ``audit``.

    ``actor``: user@host unless given. ``reason``: any text. ``via``: by which way, as "cli".
    """

    actor: str | None
    reason: str | None
    via: str


class Audited(Base):
    """Each change is a row of the table ``audit``.

    That row says who changed something, which is user@host unless ``by`` says otherwise.
    """

    _who: admin.Actor | None = None

    def __init__(self, client: Base) -> None:
        self.pool = here(client).pool
        self.schema = client.schema

    def by(
        self, actor: str | None = None, *, reason: str | None = None, via: str = "python"
    ) -> Self:
        """Return the same verbs, whose changes are noted as this actor's, with a reason."""
        twin = copy.copy(self)
        twin._who = actor_of(actor, reason, via)
        return twin

    @property
    def _actor(self) -> admin.Actor:
        return self._who or admin.Actor(_user(), "python")


def actor_of(
    actor: str | None = None, reason: str | None = None, via: str = "python"
) -> admin.Actor:
    """Return whose a change is: user@host unless ``actor`` says otherwise."""
    name = _user() if actor is None else check_text(actor, "actor", longest=200)
    if reason is not None:
        check_text(reason, "reason", longest=2_000)
    return admin.Actor(name, via, reason)


def _user() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container with no such user
        user = "?"
    return f"{user}@{socket.gethostname()}"
