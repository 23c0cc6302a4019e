"""Handing out files that came from outside."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from apps.core.tenancy import current_scope, enter_scope


def as_file(pieces: Iterator[bytes], *, name: str, size: int) -> StreamingHttpResponse:
    """A file from outside for saving, never shown in the browser. The body enters the scope itself."""
    scope = current_scope()

    def body() -> Iterator[bytes]:
        with enter_scope(scope):
            yield from pieces

    response = StreamingHttpResponse(body(), content_type="application/octet-stream")
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Content-Length"] = str(size)
    response["X-Content-Type-Options"] = "nosniff"
    return response
