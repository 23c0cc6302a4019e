"""The notification intake: store first, verify, apply once, answer in the platform's own way.

Each step is a transaction of its own. The raw bytes are safe before anything reads them, so a notification that cannot
be applied today is applied later from the stored copy. What the answer means to the platform: *accepted* ends its
repeats; anything else makes it send again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import OperationalError, transaction
from psycopg.types.json import Jsonb

from apps.core import encryption, outbox, sql
from apps.core.audit import Actor
from apps.core.deadlines import Deadline
from apps.core.logging import redact
from apps.core.models import Door
from apps.platforms import gateway, intake, registry
from apps.platforms.models import Notification, NotificationState, PlatformAccount, Verdict
from apps.platforms.services import renewal, verdicts
from apps.platforms.services.gateways import gateway_of

logger = logging.getLogger(__name__)

PURPOSE = "notification"
REPROCESS = "platforms.reprocess_notification"
#: The largest body that is read. The platforms' notices have a few kilobytes.
MAX_BODY = 1024 * 1024
#: First wait of the stored copy after it could not be applied; the outbox waits longer each time.
FIRST_RETRY = timedelta(seconds=10)
#: When the stored copy is looked at although nobody said what became of it: its process was killed.
LOST_AFTER = timedelta(seconds=60)

#: Headers worth keeping: what was signed, and what helps support. Never cookies, nor authorizations but for a platform that
#: puts its signature there (``PlatformGateway.signature_headers``), without which the stored copy could not be verified.
_KEPT_HEADERS = frozenset({"content-type", "content-length", "user-agent", "request-id"})
_KEPT_PREFIX = "wechatpay-"
#: The query string is kept among the headers, under a name that no header can have.
_QUERY = ":query"

_STORED = "SELECT %(task)s, stored.merchant_id, stored.id, %(look_at)s::timestamptz FROM stored"
#: The row and its task in one statement, so that there is never the one without the other.
_STORE = f"""
WITH stored AS (
    INSERT INTO platforms_notification (merchant_id, account_id, received_at, headers, body_sealed, body_sha256, remote_ip,
        verdict, dedup_key, kind, order_no, state, detail)
    VALUES (%(merchant_id)s, %(account_id)s, %(received_at)s, %(headers)s, %(body_sealed)s, %(body_sha256)s, %(remote_ip)s,
        '', '', '', '', 'received', '')
    RETURNING id, merchant_id
)
{outbox.enqueuing(_STORED)} RETURNING subject_id
"""  # noqa: S608  # put together of constants
_EVENTS_TURN = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_APPLIED_BEFORE = """
SELECT FROM platforms_notification
WHERE merchant_id = %s AND account_id = %s AND order_no = %s AND dedup_key = %s AND state = 'applied' LIMIT 1
"""
_SETTLE = """
UPDATE platforms_notification SET state = %(state)s, verdict = %(verdict)s, detail = %(detail)s, processed_at = %(now)s,
    kind = COALESCE(%(kind)s, kind), dedup_key = COALESCE(%(dedup_key)s, dedup_key), order_no = COALESCE(%(order_no)s, order_no)
WHERE merchant_id = %(merchant_id)s AND id = %(subject_id)s AND received_at = %(received_at)s
    AND state NOT IN ('applied', 'repeated')
"""
_SETTLE_AND_FORGET = f"WITH settled AS ({_SETTLE}) {outbox.FORGET}"


class NotificationNotFound(LookupError):
    """The merchant in scope has no such notification."""


class BodyExpired(Exception):
    """The raw body is no longer kept, so the notification cannot be read again."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery and what to answer: ``ack`` is byte for byte what the platform expects."""

    notification_id: int
    state: NotificationState
    ack: gateway.Ack


def receive(
    *,
    account: PlatformAccount,
    raw: gateway.RawNotification,
    remote_ip: str | None,
    now: datetime,
    limit: Deadline | None = None,
) -> Receipt:
    """Take in one delivery for ``account``, whatever it is. Never raises for its content.

    Where ``limit`` passes after the row was stored, a genuine delivery is *accepted* as it stands and applied from the
    stored copy; where it passes before, ``OperationalError`` is raised and the platform sends again.

    With the row goes a task to look at it again, which ends with it: whatever kills us in between, it is not forgotten.
    The row with the sealed raw body is committed before the signature is looked at. A forged or unreadable delivery
    has no effect beyond that row. One that names no payment of ours is *accepted*: it is stored, shown and will stand
    in the platform's bill, and repeating it would change nothing.
    """
    row = _store(account=account, raw=raw, remote_ip=remote_ip, now=now)
    try:
        state = _process(row, account=account, raw=raw, now=now, actor=_sender(remote_ip))
    except OperationalError:
        if limit is None or not limit.passed:
            raise
        # Only work behind the signature check touches the database so long; the row's own task finishes it.
        logger.warning(
            "notification %s is stored; the database is too slow to apply it now", row.pk
        )
        state = NotificationState.RECEIVED
    if state is NotificationState.FAILED:
        outbox.enqueue(
            task=REPROCESS,
            merchant_id=account.merchant_id,
            subject_id=row.pk,
            due_at=now + FIRST_RETRY,
        )
    return Receipt(row.pk, state, _answer(account, state))


def reprocess_notification(*, notification_id: int, now: datetime, actor: Actor) -> Notification:
    """Try a stored notification again, by hand or from the outbox, from the sealed copy of its raw body.

    One that was applied, or recognised as a repeat, is left as it is. The signature is judged as of the time of
    arrival. Raises NotificationNotFound, BodyExpired.
    """
    row: Notification | None = Notification.objects.filter(pk=notification_id).first()
    if row is None:
        raise NotificationNotFound(notification_id)
    if row.state in {NotificationState.APPLIED, NotificationState.REPEATED}:
        return row
    if row.body_sealed is None:
        raise BodyExpired(notification_id)
    account = PlatformAccount.objects.get(pk=row.account_id)
    headers = {name: str(value) for name, value in row.headers.items()}
    raw = gateway.RawNotification(
        query=headers.pop(_QUERY, ""),
        headers=headers,
        body=encryption.unseal(
            bytes(row.body_sealed), merchant_id=row.merchant_id, purpose=PURPOSE
        ),
        received_at=row.received_at,
    )
    _process(row, account=account, raw=raw, now=now, actor=actor)
    row.refresh_from_db()
    return row


def expire_bodies(*, now: datetime) -> int:
    """Forget the raw bodies of the merchant in scope that are older than ``NOTIFICATION_KEEP_DAYS``; returns how many.

    The rows stay, with hash, headers and verdict.
    """
    old = Notification.objects.filter(
        received_at__lt=now - timedelta(days=settings.NOTIFICATION_KEEP_DAYS),
        body_sealed__isnull=False,
    )
    return old.update(body_sealed=None)


def merchants_with_accounts() -> list[int]:
    """The ids of all merchants that have an account: what a nightly task enters one by one."""
    doors = Door.objects.filter(kind="account").order_by("merchant_id")
    return list(doors.values_list("merchant_id", flat=True).distinct())


def _sender(remote_ip: str | None) -> Actor:
    return Actor(label="system:notification", ip=remote_ip)


def _kept(headers: Mapping[str, str], *, platform: str) -> dict[str, str]:
    kept = _KEPT_HEADERS | registry.signature_headers_of(platform)
    return {
        name: value.replace("\x00", "")[:1024]
        for name, value in headers.items()
        if name in kept or name.startswith(_KEPT_PREFIX)
    }


def _store(
    *,
    account: PlatformAccount,
    raw: gateway.RawNotification,
    remote_ip: str | None,
    now: datetime,
) -> Notification:
    headers = _kept(raw.headers, platform=account.platform)
    if raw.query:
        headers[_QUERY] = raw.query.replace("\x00", "")[:1024]
    merchant_id = account.merchant_id
    stored = sql.every(
        _STORE,
        {
            "merchant_id": merchant_id,
            "account_id": account.pk,
            "received_at": raw.received_at,
            "headers": Jsonb(headers),
            "body_sealed": encryption.seal(raw.body, merchant_id=merchant_id, purpose=PURPOSE),
            "body_sha256": hashlib.sha256(raw.body).digest(),
            "remote_ip": remote_ip,
            "task": REPROCESS,
            "look_at": now + LOST_AFTER,
        },
    )
    return Notification(
        pk=stored[0][0], merchant_id=merchant_id, account_id=account.pk, received_at=raw.received_at
    )


def _process(
    row: Notification,
    *,
    account: PlatformAccount,
    raw: gateway.RawNotification,
    now: datetime,
    actor: Actor,
) -> NotificationState:
    """Verify and apply one stored delivery and write down what became of it."""
    try:
        message = gateway_of(account).parse_notification(raw)
    except gateway.InvalidSignature as error:
        if str(error) in renewal.OUTDATED:
            renewal.hasten(account, now=now)
        return _settle(
            row,
            NotificationState.REFUSED,
            now=now,
            verdict=Verdict.BAD_SIGNATURE,
            detail=str(error),
        )
    except gateway.WrongKey as error:
        with transaction.atomic():
            verdicts.key_is_wrong(
                account=account, error=error, received_at=row.received_at, now=now, actor=actor
            )
            return _settle(
                row,
                NotificationState.REFUSED,
                now=now,
                verdict=Verdict.UNREADABLE,
                detail=error.code,
            )
    except gateway.MalformedMessage as error:
        return _settle(
            row, NotificationState.REFUSED, now=now, verdict=Verdict.UNREADABLE, detail=str(error)
        )
    except Exception as error:
        # Ours to mend (keys that do not open, a slip in a connector): the delivery is kept and tried again.
        logger.exception("notification %s could not be read", row.pk)
        return _settle(row, NotificationState.FAILED, now=now, detail=_words(error))
    if message.kind is not gateway.NotificationKind.OTHER and verdicts.standing(account):
        # Whatever becomes of it below, it did open. Other kinds are not opened and prove nothing.
        verdicts.key_is_right(account=account, received_at=row.received_at, now=now, actor=actor)
    facts = {
        "verdict": Verdict.GOOD,
        "kind": message.kind.value,
        "dedup_key": _short(message.dedup_key, 160),
        "order_no": _short(_order_no(message), 64),
    }
    try:
        with transaction.atomic():
            state, detail = _apply(row, account, message, facts, now=now, actor=actor)
            return _settle(row, state, now=now, detail=detail, **facts)
    except OperationalError:
        # Not this delivery's fault: a deadline, a lost connection. ``receive`` and the outbox know what to do.
        raise
    except Exception as error:
        logger.exception("notification %s could not be applied", row.pk)
        return _settle(row, NotificationState.FAILED, now=now, detail=_words(error), **facts)


def _apply(
    row: Notification,
    account: PlatformAccount,
    message: gateway.Notification,
    facts: Mapping[str, str],
    *,
    now: datetime,
    actor: Actor,
) -> tuple[NotificationState, str]:
    """Let the room concerned apply a verified message, unless the same event was applied before."""
    if message.kind is gateway.NotificationKind.OTHER:
        return NotificationState.APPLIED, "nothing_to_do"
    # Deliveries of the same event wait for each other here: the second one then finds the first one's row.
    sql.run(_EVENTS_TURN, [f"notification/{account.pk}/{facts['dedup_key']}"])
    event = [account.merchant_id, account.pk, facts["order_no"], facts["dedup_key"]]
    if sql.first(_APPLIED_BEFORE, event) is not None:
        return NotificationState.REPEATED, ""
    handler = intake.handler_of(message.kind)
    return handler.apply(account=account, notification=message, now=now, actor=actor), ""


def _settle(
    row: Notification,
    state: NotificationState,
    *,
    now: datetime,
    verdict: str = "",
    detail: str = "",
    **facts: str,
) -> NotificationState:
    """Write the outcome; an outcome that another worker wrote meanwhile and that is final stays.

    What need not be tried again is forgotten by the same statement.
    """
    values = {
        "state": state.value,
        "verdict": verdict,
        "detail": detail[:300],
        "now": now,
        "kind": facts.get("kind"),
        "dedup_key": facts.get("dedup_key"),
        "order_no": facts.get("order_no"),
        "merchant_id": row.merchant_id,
        "subject_id": row.pk,
        "received_at": row.received_at,
    }
    if state is NotificationState.FAILED:
        sql.run(_SETTLE, values)
    else:
        sql.run(_SETTLE_AND_FORGET, {**values, "task": REPROCESS})
    return state


def _order_no(message: gateway.Notification) -> str:
    if message.payment is not None:
        return message.payment.order_no
    return message.refund.order_no if message.refund is not None else ""


def _short(text: str, limit: int) -> str:
    """Text that fits its column; what is longer is told apart by its hash."""
    return text if len(text) <= limit else hashlib.sha256(text.encode()).hexdigest()[:limit]


def _words(error: Exception) -> str:
    return redact(f"{type(error).__name__}: {error}")


def _answer(account: PlatformAccount, state: NotificationState) -> gateway.Ack:
    """The platform's own form of yes and no, with a status that no proxy takes for a yes."""
    accepted = state in {
        NotificationState.APPLIED,
        NotificationState.REPEATED,
        NotificationState.UNMATCHED,
        NotificationState.RECEIVED,
    }
    least = 200 if accepted else 500 if state is NotificationState.FAILED else 400
    try:
        ack = gateway_of(account).acknowledge(accepted=accepted)
    except Exception:
        # The credentials do not open: the platform sees a server's error and sends again.
        logger.exception("no acknowledgement for account %s", account.pk)
        return gateway.Ack(status=500, content_type="text/plain", body=b"fail")
    return gateway.Ack(status=max(ack.status, least), content_type=ack.content_type, body=ack.body)
