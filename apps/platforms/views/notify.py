"""The address that the platforms call. Machines read its answers, so none of them is a page."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.deadlines import deadline
from apps.merchants.access import DoorRequest, client_ip, door_view
from apps.platforms import gateway, probes, selectors, services
from apps.platforms.services.accounts import DOOR
from apps.platforms.services.notifications import MAX_BODY

logger = logging.getLogger(__name__)


def _refusal(status: int, code: str, message: str) -> JsonResponse:
    return JsonResponse({"code": code, "message": message}, status=status)


def _for_machines(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Say "unknown address" as JSON instead of a page."""

    @wraps(view)
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except Http404:
            return _refusal(404, "NOT_FOUND", "no account has this notification address")

    return answering


def _within_the_platforms_patience(
    view: Callable[..., HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Answer in time however slow the database is: the strictest platform waits for five seconds."""

    @wraps(view)
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.answer = None  # type: ignore[attr-defined]  # what the view had to say before its time was over
        with deadline(settings.NOTIFY_ANSWER_SECONDS) as limit:
            request.limit = limit  # type: ignore[attr-defined]  # read by the view
            try:
                return view(request, *args, **kwargs)
            except OperationalError:
                if not limit.passed:
                    raise
                logger.warning("no answer from the database in time for a notification")
                said: HttpResponse | None = request.answer  # type: ignore[attr-defined]  # see above
                return said or _refusal(503, "SLOW", "please send this again")

    return answering


def _read(request: HttpRequest) -> bytes | JsonResponse:
    """The body's bytes, never more than the limit, or the refusal to send."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not str(length).isdigit():
        return _refusal(411, "LENGTH_REQUIRED", "send a Content-Length header")
    if int(length) > MAX_BODY:
        return _refusal(413, "TOO_LARGE", f"a notification has {MAX_BODY} bytes at most")
    try:
        body: bytes = request.read(MAX_BODY + 1)
    except (UnreadablePostError, OSError):
        return _refusal(400, "INCOMPLETE", "the connection ended before the body did")
    if len(body) != int(length):
        return _refusal(400, "INCOMPLETE", "the body is shorter than its Content-Length")
    return body


def _probed(ref: str, asked: str) -> HttpResponse:
    said = probes.answer(ref, asked)
    if said is None:
        return _refusal(403, "NOT_OURS", "this portal did not ask that")
    return HttpResponse(said, content_type="text/plain; charset=us-ascii")


@csrf_exempt
@require_POST
@_for_machines
@_within_the_platforms_patience
@door_view(DOOR)
def receive(request: DoorRequest, platform: str) -> HttpResponse:
    """Take in one notification: raw bytes first, everything else afterwards."""
    account = selectors.get_account(request.door.subject_id)
    if account.platform != platform:
        raise Http404
    if probes.HEADER in request.headers:
        return _probed(account.ref, request.headers[probes.HEADER])
    body = _read(request)
    if isinstance(body, JsonResponse):
        return body
    now = clock.now()
    receipt = services.receive(
        account=account,
        raw=gateway.RawNotification(
            headers={name.lower(): value for name, value in request.headers.items()},
            query=request.META.get("QUERY_STRING", ""),
            body=body,
            received_at=now,
        ),
        remote_ip=client_ip(request),
        now=now,
        limit=request.limit,  # type: ignore[attr-defined]  # put there by the decorator
    )
    answer = HttpResponse(
        receipt.ack.body, status=receipt.ack.status, content_type=receipt.ack.content_type
    )
    # Leaving the scope costs one more statement, which may be too slow as well.
    request.answer = answer  # type: ignore[attr-defined]  # read by the decorator
    return answer
