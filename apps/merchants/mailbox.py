"""Reading the mails that a development machine writes into files instead of sending them."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

#: How Django's file backend ends each message.
_END = b"\n" + b"-" * 79


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as a reader sees it."""

    to: str
    subject: str
    at: datetime | None
    text: str


def _read(raw: bytes) -> Mail:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    body = message.get_body(preferencelist=("plain", "html"))
    date = message["Date"]
    at: datetime | None = date.datetime if date is not None else None
    if at is not None and at.tzinfo is None:
        # "-0000" says UTC without knowing where the sender is; Python leaves it naive.
        at = at.replace(tzinfo=UTC)
    return Mail(
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        at=at,
        text=str(body.get_content()).strip() if body is not None else "",
    )


def latest_mails(folder: Path, *, limit: int = 100) -> list[Mail]:
    """The newest mails in ``folder``, newest first; none when the folder does not exist yet."""
    if not folder.is_dir():
        return []
    files = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    mails: list[Mail] = []
    for path in files[:limit]:
        parts = [part.strip() for part in path.read_bytes().split(_END)]
        mails.extend(_read(part) for part in reversed(parts) if part)
    return mails[:limit]
