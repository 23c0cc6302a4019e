"""Secrets of a development machine: made once, kept in the data folder, readable by their owner only."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def generate() -> dict[str, str]:
    """A fresh SECRET_KEY and one encryption key, ``id:base64 of 32 bytes``."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    return {"secret_key": secrets.token_urlsafe(48), "encryption_key": f"dev1:{key}"}


def load_or_create(path: Path) -> dict[str, str]:
    """The secrets in ``path``, made on first use. Several processes may ask at once; all get the same.

    Raises ImproperlyConfigured when the file is there but unreadable: inventing new keys would make everything
    that was encrypted with the old ones worthless.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".secrets-")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(generate(), file)
            # A hard link never overwrites: the first process wins, the others read what it wrote.
            if not path.exists():
                with contextlib.suppress(FileExistsError):
                    os.link(draft, path)
        finally:
            Path(draft).unlink()
    try:
        found = json.loads(path.read_text())
        return {name: str(found[name]) for name in ("secret_key", "encryption_key")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImproperlyConfigured(f"{path} holds no usable secrets") from error
