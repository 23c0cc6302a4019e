"""The assessment of risks: each look at one is a row of its own."""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.risk.models import Harm, Likelihood, RiskReview


class ReviewRefused(ValueError):
    """The next review would be in the past, or the version is not the one that the writer saw. ``reason`` is which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@transaction.atomic
def review_risk(
    *,
    number: int | None,
    seen_version: int,
    what: str,
    measure: str,
    likelihood: Likelihood,
    harm: Harm,
    owner: User | None,
    next_review_date: date,
    is_gone: bool,
    member: User,
    actor: Actor,
    today: date,
    now: datetime,
) -> RiskReview:
    """Write how a risk stands today. ``number`` None for a new one; else ``seen_version`` is what the writer looked at.

    Raises ReviewRefused ("past", "changed"), RiskReview.DoesNotExist.
    """
    if next_review_date <= today:
        raise ReviewRefused("past")
    # One writer at a time a merchant: numbers and versions have no gaps.
    Merchant.objects.select_for_update().get(pk=current_merchant_id())
    if number is None:
        last = RiskReview.objects.order_by("-number").values_list("number", flat=True).first()
        number, version = (last or 0) + 1, 1
    else:
        latest = RiskReview.objects.filter(number=number).order_by("-version").first()
        if latest is None:
            raise RiskReview.DoesNotExist
        if latest.version != seen_version:
            raise ReviewRefused("changed")
        version = latest.version + 1
    review = RiskReview.objects.create(
        number=number,
        version=version,
        what=what,
        measure=measure,
        likelihood=likelihood,
        harm=harm,
        owner=owner,
        is_gone=is_gone,
        reviewed_by=member,
        reviewed_at=now,
        next_review_date=next_review_date,
    )
    audit.record(
        action="risk.reviewed",
        subject_kind="risk",
        subject_id=review.pk,
        actor=actor,
        at=now,
        data={"number": number, "version": version},
    )
    return review
