"""Notes by HTTP; a job counts their words. ``create_app`` makes the application."""

from __future__ import annotations

import os

from flask import Flask
from sqlalchemy import make_url

__all__ = ["create_app"]


def create_app() -> Flask:
    """Make the application; nothing connects before the first request."""
    from notes.models import db
    from notes.views import pages

    site = Flask("notes")
    url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")
    site.config["SQLALCHEMY_DATABASE_URI"] = url
    # A worker runs 16 jobs in threads, each with a session of its own.
    site.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 16, "pool_pre_ping": True}
    db.init_app(site)
    site.register_blueprint(pages)
    return site
