"""Reads of this room: accounts and the stores they serve, and the notifications that came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q

from apps.core import keyset, sql
from apps.core.models import AuditEvent
from apps.core.tenancy import ScopedQuerySet, current_merchant_id
from apps.merchants.models import Store
from apps.platforms.gateway import Capability, Platform
from apps.platforms.models import (
    AccountStore,
    ChangeState,
    CredentialChange,
    Notification,
    NotificationState,
    PlatformAccount,
    Verdict,
)
from apps.platforms.registry import capabilities_of

PAGE_SIZE = 50
#: The detail of a notification with verdict BAD_SIGNATURE whose time stamp is too far from our clock, whoever signed it; and
#: what narrows the list to these.
TOO_OLD = "timestamp"
#: The order in which accounts are asked to take a wallet's payment.
PREFERENCE = ("priority", "pk")

_ACCOUNT = sql.Loading(
    PlatformAccount,
    "SELECT {columns} FROM platforms_platformaccount WHERE merchant_id = %s AND id = %s",
)


def accounts_serving(*, store_id: int | None) -> list[PlatformAccount]:
    """The active accounts that serve a store, in the merchant's order of preference, then oldest first.

    Without a store, as outside money may be, those that serve all stores.
    """
    active = PlatformAccount.objects.filter(is_active=True).order_by(*PREFERENCE)
    if store_id is None:
        return list(active.filter(all_stores=True))
    served = AccountStore.objects.filter(account_id=OuterRef("pk"), store_id=store_id)
    return list(active.filter(Q(all_stores=True) | Exists(served)))


def account_for_barcode(*, store_id: int, wallet: Platform) -> PlatformAccount | None:
    """The account that takes a wallet's payment codes in a store: the first in order of preference, or None.

    The wallet's own platform can, and one that aggregates.
    """
    for account in accounts_serving(store_id=store_id):
        able = capabilities_of(account.platform)
        fits = account.platform == wallet or Capability.AGGREGATES in able
        if account.takes_barcodes and Capability.BARCODE in able and fits:
            return account
    return None


def get_account(pk: int) -> PlatformAccount:
    """One account of the merchant in scope. Raises PlatformAccount.DoesNotExist."""
    account = _ACCOUNT.first([current_merchant_id(), pk])
    if account is None:
        raise PlatformAccount.DoesNotExist(pk)
    return account


def list_accounts() -> ScopedQuerySet[PlatformAccount]:
    """All accounts, in the merchant's order of preference."""
    return PlatformAccount.objects.order_by(*PREFERENCE)  # type: ignore[return-value]  # a scoped manager's queryset


def list_stores() -> list[Store]:
    """The stores that an account may serve, by name."""
    return list(Store.objects.filter(is_active=True).order_by("name"))


def stores_by_account() -> Mapping[int, list[Store]]:
    """For each account that serves chosen stores, those stores by name."""
    found: dict[int, list[Store]] = {}
    for link in AccountStore.objects.select_related("store").order_by("store__name"):
        found.setdefault(link.account_id, []).append(link.store)
    return found


def stores_of(account: PlatformAccount) -> list[Store]:
    """The chosen stores of one account, by name; empty where it serves all."""
    links = AccountStore.objects.filter(account=account).select_related("store")
    return [link.store for link in links.order_by("store__name")]


def history_of(account: PlatformAccount, *, limit: int = 20) -> list[AuditEvent]:
    """What was done with an account in this room, latest first."""
    events = AuditEvent.objects.filter(
        subject_kind="account", subject_id=account.pk, action__startswith="account."
    )
    return list(events.order_by("-at", "-pk")[:limit])


def waiting_change(account_id: int) -> CredentialChange | None:
    """New keys of an account that wait for another member, with who entered them; None where none do."""
    found: CredentialChange | None = (
        CredentialChange.objects.select_related("requested_by")
        .filter(account_id=account_id, state=ChangeState.WAITING)
        .first()
    )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFilters:
    """What the list of notifications is narrowed to; empty means everything."""

    account_id: int | None = None
    state: str = ""
    verdict: str = ""
    order_no: str = ""


def list_notifications(filters: NotificationFilters) -> ScopedQuerySet[Notification]:
    """Notifications that pass the filters, without their bodies and unordered."""
    rows = Notification.objects.defer("body_sealed")
    if filters.account_id is not None:
        rows = rows.filter(account_id=filters.account_id)
    if filters.state:
        rows = rows.filter(state=filters.state)
    if filters.verdict == TOO_OLD:
        rows = rows.filter(verdict=Verdict.BAD_SIGNATURE, detail=TOO_OLD)
    elif filters.verdict == Verdict.BAD_SIGNATURE:
        rows = rows.filter(verdict=filters.verdict).exclude(detail=TOO_OLD)
    elif filters.verdict:
        rows = rows.filter(verdict=filters.verdict)
    if filters.order_no:
        rows = rows.filter(order_no=filters.order_no)
    return rows  # type: ignore[return-value]  # a scoped manager's queryset


def page_notifications(
    filters: NotificationFilters, *, after: str = "", before: str = "", size: int = PAGE_SIZE
) -> keyset.Page[Notification]:
    """One page of notifications, newest first. Raises BadCursor."""
    rows = list_notifications(filters)
    return keyset.page(rows, at="received_at", after=after, before=before, size=size)


def get_notification(pk: int) -> Notification:
    """One notification. Raises Notification.DoesNotExist."""
    return Notification.objects.get(pk=pk)


def trouble_by_account(*, since: datetime) -> Mapping[int, int]:
    """For each account, how many notifications since then were refused or still wait to be applied."""
    rows = Notification.objects.filter(
        received_at__gte=since, state__in=[NotificationState.REFUSED, NotificationState.FAILED]
    )
    counted = rows.order_by().values("account_id").annotate(count=Count("pk"))
    return {row["account_id"]: row["count"] for row in counted}
