"""Entering what was signed: each change is a new version, in force from its own day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit, clock, outbox
from apps.core.audit import Actor
from apps.platforms import registry
from apps.platforms.checklist import ITEMS
from apps.platforms.models import (
    Agreement,
    AgreementWithdrawal,
    ChecklistTick,
    FeeTier,
    PlatformAccount,
)
from apps.platforms.selectors.agreements import latest_version
from apps.platforms.services.accounts import AccountNotFound

REMIND_TASK: Final = "platforms.remind_agreement"
#: Of a higher room: what an agreement says of payouts holds there.
SETTLE_TASK: Final = "statements.settle_account"
_MOST_TIERS: Final = 40


class AgreementRefused(Exception):
    """The agreement is not kept. ``field`` is the input it is about, or "" for the rates as a whole."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one version says; the fields are ``Agreement``'s. Amounts in fen, shares in millionths."""

    service: str
    valid_from: date
    number: str = ""
    signed_on: date | None = None
    valid_until: date | None = None
    renews: bool = False
    cycle_days: int = 1
    working_days: bool = True
    refund_window_days: int | None = None
    fee_back_ppm: int = 1_000_000
    payment_limit_minor: int | None = None
    day_limit_minor: int | None = None
    deposit_minor: int = 0
    compensation: str = ""
    security: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One rate; the fields are ``FeeTier``'s."""

    rate_ppm: int
    from_minor: int = 0
    wallet: str = ""
    product: str = ""
    cap_minor: int | None = None
    least_minor: int = 0
    rounding: str = "half_up"


@transaction.atomic
def enter_agreement(
    *,
    account_id: int,
    terms: Terms,
    tiers: Sequence[Tier],
    effective_from: date | None,
    expected: int,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> Agreement:
    """Write the next version of an account's agreement. ``expected``: the latest version that whoever asks has seen, 0: none.

    The first is in force from the beginning of its validity. A later one from ``effective_from``, today at the earliest: what
    held before stays as it was. Raises AccountNotFound, AgreementRefused; then nothing is kept.
    """
    account = PlatformAccount.objects.select_for_update().filter(pk=account_id).first()
    if account is None:
        raise AccountNotFound(account_id)
    latest = latest_version(account_id)
    # Where all that was entered was taken back again, it is like the first time.
    first = not Agreement.objects.filter(account=account, withdrawals__isnull=True).exists()
    if latest != expected:
        raise AgreementRefused(
            "", _("Somebody entered another version meanwhile. Look at it, then change again.")
        )
    begins = terms.valid_from if first or effective_from is None else effective_from
    _refuse_days(terms, begins=begins, first=first, today=clock.business_date(now))
    refuse_tiers(tiers)
    agreement: Agreement = Agreement.objects.create(
        account=account,
        version=latest + 1,
        effective_from=begins,
        created_at=now,
        created_by=member,
        **asdict(terms),
    )
    FeeTier.objects.bulk_create(FeeTier(agreement=agreement, **asdict(tier)) for tier in tiers)
    if not account.has_agreement:
        account.has_agreement = True
        account.save(update_fields=["has_agreement"])
    _have_followed(account, now=now)
    audit.record(
        action="agreement.entered",
        subject_kind="account",
        subject_id=account.pk,
        actor=actor,
        at=now,
        data={
            "version": agreement.version,
            "effective_from": begins.isoformat(),
            "valid_until": terms.valid_until.isoformat() if terms.valid_until else "",
            "rates": [asdict(tier) for tier in tiers],
        },
    )
    return agreement


def _have_followed(account: PlatformAccount, *, now: datetime) -> None:
    """Whether and when it must be spoken of, and what is paid out when, is decided by these tasks."""
    for task in (REMIND_TASK, SETTLE_TASK):
        outbox.enqueue(
            task=task, merchant_id=account.merchant_id, subject_id=account.pk, due_at=now
        )


@transaction.atomic
def withdraw_agreement(
    *, agreement_id: int, member: User | None, actor: Actor, now: datetime
) -> Agreement:
    """Take back a version whose day has not come. Safe to repeat.

    Raises Agreement.DoesNotExist, AgreementRefused for one that has begun; then nothing is changed.
    """
    account_id = Agreement.objects.values_list("account_id", flat=True).get(pk=agreement_id)
    account = PlatformAccount.objects.select_for_update().get(pk=account_id)
    agreement: Agreement = Agreement.objects.get(pk=agreement_id)
    if AgreementWithdrawal.objects.filter(agreement=agreement).exists():
        return agreement
    if agreement.effective_from <= clock.business_date(now):
        raise AgreementRefused(
            "", _("This version has begun, so what it said stays. Enter a change instead.")
        )
    AgreementWithdrawal.objects.create(agreement=agreement, at=now, by=member)
    _have_followed(account, now=now)
    audit.record(
        action="agreement.withdrawn",
        subject_kind="account",
        subject_id=account.pk,
        actor=actor,
        at=now,
        data={
            "version": agreement.version,
            "effective_from": agreement.effective_from.isoformat(),
        },
    )
    return agreement


def _refuse_days(terms: Terms, *, begins: date, first: bool, today: date) -> None:
    if terms.valid_until is not None and terms.valid_until < terms.valid_from:
        raise AgreementRefused("valid_until", _("The last day lies before the first."))
    if terms.signed_on is not None and terms.signed_on > today:
        raise AgreementRefused("signed_on", _("This day is still to come."))
    if terms.renews and terms.valid_until is None:
        raise AgreementRefused(
            "renews", _("Only what ends can renew: enter the last day, or take the tick away.")
        )
    if first:
        return
    if begins < today:
        raise AgreementRefused(
            "effective_from", _("A change begins today at the earliest. What held before stays.")
        )
    if begins < terms.valid_from:
        raise AgreementRefused("effective_from", _("This day lies before the validity begins."))
    if terms.valid_until is not None and not terms.renews and begins > terms.valid_until:
        raise AgreementRefused("effective_from", _("This day lies after the validity ends."))


def refuse_tiers(tiers: Sequence[Tier]) -> None:
    """Whether the rates say something of every payment, and only one thing. Raises AgreementRefused."""
    if not tiers:
        raise AgreementRefused("", _("Enter at least one rate."))
    if len(tiers) > _MOST_TIERS:
        raise AgreementRefused("", _("These are too many rates."))
    seen: set[tuple[str, str, int]] = set()
    for tier in tiers:
        key = (tier.wallet, tier.product, tier.from_minor)
        if key in seen:
            raise AgreementRefused("", _("Two rates are for the same payments."))
        seen.add(key)
        if tier.cap_minor is not None and tier.cap_minor < tier.least_minor:
            raise AgreementRefused("", _("A cap is below the least fee."))
    kinds = {(wallet, product) for wallet, product, _from in seen}
    if ("", "") not in kinds:
        raise AgreementRefused(
            "",
            _("One rate must be for any wallet and any way to pay; it holds where no other fits."),
        )
    if any((*kind, 0) not in seen for kind in kinds):
        raise AgreementRefused(
            "", _("The rates of each wallet and way to pay must begin at ¥0.00.")
        )


class UnknownItem(LookupError):
    """The checklist has no such item, or the portal no such platform."""


def tick(
    *,
    platform: str,
    account_id: int | None,
    item: str,
    is_done: bool,
    note: str,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> ChecklistTick:
    """Tick an item of the checklist, or take the tick away. Raises UnknownItem, AccountNotFound."""
    if item not in ITEMS or platform not in registry.connected_platforms():
        raise UnknownItem(item)
    account = None
    if account_id is not None:
        account = PlatformAccount.objects.filter(pk=account_id, platform=platform).first()
        if account is None:
            raise AccountNotFound(account_id)
    with transaction.atomic():
        row: ChecklistTick = ChecklistTick.objects.create(
            platform=platform,
            account=account,
            item=item,
            is_done=is_done,
            note=note[:200],
            at=now,
            by=member,
        )
        audit.record(
            action="agreement.ticked" if is_done else "agreement.unticked",
            subject_kind="account" if account else "platform",
            subject_id=account.pk if account else 0,
            actor=actor,
            at=now,
            data={"platform": platform, "item": item, "note": row.note},
        )
    return row
