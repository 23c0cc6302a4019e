"""Reading the environment: each function names the variable when its value makes no sense."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict


def text(name: str, default: str = "") -> str:
    """The variable without surrounding blanks; empty counts as unset."""
    return os.environ.get(name, "").strip() or default


def required(name: str) -> str:
    """The variable. Raises ImproperlyConfigured when it is unset or empty."""
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"the environment variable {name} must be set")
    return value


def flag(name: str, *, default: bool = False) -> bool:
    """True for 1, true, yes, on; False for 0, false, no, off. Raises ImproperlyConfigured."""
    value = text(name).lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}")


def integer(name: str, default: int) -> int:
    """A whole number. Raises ImproperlyConfigured."""
    value = text(name)
    if not value:
        return default
    if not value.isdecimal():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}")
    return int(value)


def listing(name: str) -> list[str]:
    """Values separated by commas."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def pairs(name: str, default: str = "") -> dict[str, str]:
    """Names with values: ``a:1,b:2``. Raises ImproperlyConfigured."""
    found: dict[str, str] = {}
    for part in text(name, default).split(","):
        key, colon, value = (each.strip() for each in part.partition(":"))
        if not (key and colon and value):
            raise ImproperlyConfigured(f"{name} must be name:value pairs with commas between")
        found[key] = value
    return found


def origin(url: str) -> str:
    """Scheme, host and port of ``url``, as a Content-Security-Policy names a source; "" for none."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def database(url: str) -> dict[str, Any]:
    """Django's description of the PostgreSQL at ``url`` (``postgresql://…``; see the libpq manual).

    Raises ImproperlyConfigured for anything but a PostgreSQL URL with a database name. The message never repeats
    the URL: it holds a password.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ImproperlyConfigured("DATABASE_URL must begin with postgresql://")
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    except ProgrammingError:
        raise ImproperlyConfigured("DATABASE_URL is not a valid PostgreSQL URL") from None
    if not parts.get("dbname"):
        raise ImproperlyConfigured("DATABASE_URL names no database")
    return {
        "ENGINE": "apps.core.postgres.engine",
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "OPTIONS": parts,
    }
