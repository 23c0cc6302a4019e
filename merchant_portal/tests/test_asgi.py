"""The web process's entry."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

import pytest

from apps.core.tenancy import NoScope, Scope, current_scope, enter_scope


def test_a_request_begins_outside_every_scope(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """Also where its connection is read in the context of an earlier request's view."""
    # The entry switches the pool on for its own process, not for those that tests start.
    monkeypatch.setenv("DATABASE_POOL_SIZE", "0")
    asgi = import_module("merchant_portal.asgi")
    seen: list[Scope | None] = []

    async def answer(_scope: Any, _receive: Any, _send: Any) -> None:
        try:
            seen.append(current_scope())
        except NoScope:
            seen.append(None)

    monkeypatch.setattr(asgi, "_wsgi", answer)
    request = {"type": "http", "method": "GET", "path": "/m/tea/"}

    async def connection() -> None:
        await asyncio.create_task(asgi.application(request, None, None))

    with enter_scope(Scope(7)):
        asyncio.run(connection())
        assert current_scope() == Scope(7)
    assert seen == [None]
