"""The web process: ``uvicorn merchant_portal.asgi:application``.

Streams are answered by a raw ASGI function, which holds no thread for an open stream. Everything else is ordinary
synchronous Django in a fixed set of threads: measured, that is about four times as fast as Django's own ASGI handler,
which makes a thread for each request.
"""

from __future__ import annotations

import os
import re
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "merchant_portal.settings.dev")
# One connection for each thread and a few for streams being authorised. Set before the settings are read.
os.environ.setdefault("DATABASE_POOL_SIZE", "12")

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.wsgi import get_wsgi_application

_wsgi = WSGIMiddleware(cast("Any", get_wsgi_application()), workers=settings.WEB_THREADS)

# Needs the models, so after the application was set up.
from apps.core.tenancy import stand_outside  # noqa: E402
from apps.merchants.streams import live_stream  # noqa: E402

_STREAM = re.compile(r"^/m/(?P<slug>[^/]+)/live$")


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Streams to ``live_stream``, the server's life cycle and all other requests to Django."""
    # The rest of a large body is read where its view asks for it, in the merchant's scope: asyncio keeps that context with the
    # socket's reader, and all later requests of the connection would begin in it.
    stand_outside()
    if scope["type"] == "http" and scope["method"] == "GET" and _STREAM.match(scope["path"]):
        await live_stream(scope, receive, send)
    else:
        await _wsgi(scope, receive, send)
