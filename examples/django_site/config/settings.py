"""The settings: one database, a transaction for each request."""

from __future__ import annotations

import os

from psycopg.conninfo import conninfo_to_dict

_given = conninfo_to_dict(os.environ["DATABASE_URL"])

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _given["dbname"],
        "USER": _given.get("user", ""),
        "PASSWORD": _given.get("password", ""),
        "HOST": _given.get("host", ""),
        "PORT": str(_given.get("port", "")),
        "ATOMIC_REQUESTS": True,
    }
}
INSTALLED_APPS = ["shop.apps.ShopConfig"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ALLOWED_HOSTS = ["*"]
DEBUG = False
SECRET_KEY = os.environ.get("SECRET_KEY", "only for this example")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
