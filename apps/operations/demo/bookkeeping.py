"""What the demo shop's finance member did this week: some differences settled, a few days closed, one of them twice."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final

from apps.approvals.services import decide
from apps.core import clock
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tasks import drain
from apps.ledger.services import set_limit
from apps.merchants.models import Role
from apps.merchants.roles import PERMISSIONS
from apps.operations.demo.cast import Cast
from apps.platforms.gateway import Platform
from apps.reconciliation.models import (
    DayClose,
    Difference,
    DifferenceState,
    DifferenceType,
    ResolutionKind,
)
from apps.reconciliation.selectors import Checklist, Item, check_day
from apps.reconciliation.services import (
    Act,
    Tick,
    assign_difference,
    close_day,
    comment_difference,
    reopening_digest,
    request_reopening,
    resolve_difference,
    save_rule,
    set_write_off_limit,
    switch_rule,
)

#: Corrections up to this are booked at once, larger ones after a second member's confirmation.
LIMIT: Final = Money(500)
WRITE_OFF: Final = Money(50)
#: The last day that is still open and could be closed, so many days ago; the days after it have differences or wait for bills.
OPEN_SINCE: Final = 3
_REASONS: Final = {
    Item.EARLIER: "启用本系统之前的日子已在旧账里结过",
    Item.BILLS: "该账户当天没有交易",
}


def keep_books(cast: Cast, *, days: int, now: datetime) -> int:
    """Limits and a rule, what was done about differences, and closings of the days that allow it; how many days are closed."""
    finance = cast.users[Role.FINANCE.value]
    actor = Actor(finance.email, finance.pk)
    owner = cast.users[Role.OWNER.value]
    set_limit(limit=LIMIT, member=owner, actor=Actor(owner.email, owner.pk), now=now)
    set_write_off_limit(limit=WRITE_OFF, member=finance, actor=actor, now=now)
    today = clock.business_date(now)
    rule = save_rule(
        rule_id=None,
        effective_from=today,
        type=DifferenceType.FEE.value,
        platform=Platform.UNIONPAY.value,
        account_id=None,
        min_amount_minor=None,
        max_amount_minor=None,
        max_gap_minor=2,
        min_age_days=0,
        action=ResolutionKind.KEEP.value,
        reason="手续费按笔取整的尾差",
        member=finance,
        actor=actor,
        now=now,
    )
    switch_rule(rule_id=rule.pk, is_on=True, actor=actor, now=now)
    _settle_some(cast, day=today - timedelta(days=2), now=now)
    closed = _close_days(
        cast, (today - timedelta(days=back) for back in range(days, OPEN_SINCE, -1)), now=now
    )
    drain(now=clock.now(), task="reconciliation.write_day_files")
    if len(closed) > 1:
        _close_again(cast, closed[-1])
    return len(closed)


def _settle_some(cast: Cast, *, day: date, now: datetime) -> None:
    """Of one account's differences of a day: a fen written off, a fee accepted, one that waits for the owner, one talked about."""
    finance, owner = cast.users[Role.FINANCE.value], cast.users[Role.OWNER.value]
    actor = Actor(finance.email, finance.pk)
    found = {
        DifferenceType(row.type): row
        for row in Difference.objects.filter(
            run__day=day,
            run__is_current=True,
            run__account__platform=Platform.WECHATPAY.value,
            state=DifferenceState.OPEN,
        )
    }
    acts = {
        DifferenceType.AMOUNT: Act(kind=ResolutionKind.WRITE_OFF, reason="一分钱尾差，平台取整"),
        DifferenceType.FEE: Act(
            kind=ResolutionKind.ACCEPT, reason="活动费率到期，平台按 0.8% 收取，已与客户经理核对"
        ),
        DifferenceType.MISSING_THERE: Act(
            kind=ResolutionKind.ADJUST, reason="平台确认该笔未扣款成功，冲减当日收入"
        ),
    }
    for kind, act in acts.items():
        if kind in found:
            resolve_difference(
                difference_id=found[kind].pk, act=act, member=finance, actor=actor, now=now
            )
    if (stranger := found.get(DifferenceType.MISSING_HERE)) is not None:
        comment_difference(
            difference_id=stranger.pk,
            text="湖滨店说当天有一笔是用临时台卡收的，正在找小票。",
            member=owner,
            actor=Actor(owner.email, owner.pk),
            now=now,
        )
        assign_difference(
            difference_id=stranger.pk, owner_id=finance.pk, member=finance, actor=actor, now=now
        )


def _close_days(cast: Cast, days: Iterable[date], *, now: datetime) -> list[DayClose]:
    closed = []
    for day in days:
        found = check_day(day, day_starts_at=cast.merchant.day_starts_at, now=now)
        if found.sums.entry_count and not found.blocking:
            closed.append(_close(cast, found, now=now))
    return closed


def _close(cast: Cast, found: Checklist, *, now: datetime) -> DayClose:
    finance = cast.users[Role.FINANCE.value]
    return close_day(
        day=found.day,
        ticks={
            check.item: Tick(_REASONS.get(check.item, "已逐笔核对"), check.count)
            for check in found.warnings
        },
        member=finance,
        actor=Actor(finance.email, finance.pk),
        now=now,
    )


def _close_again(cast: Cast, close: DayClose) -> None:
    """The day was opened once more, as the finance member asked and the owner confirmed, and closed as its second version."""
    finance, owner = cast.users[Role.FINANCE.value], cast.users[Role.OWNER.value]
    now = clock.now()
    reopening = request_reopening(
        close_id=close.pk,
        reason="补录一张漏记的调账凭证后再结",
        member=finance,
        actor=Actor(finance.email, finance.pk),
        now=now,
    )
    assert reopening.approval_id is not None  # noqa: S101  # it has just been asked for
    decide(
        approval_id=reopening.approval_id,
        member=owner,
        permissions=PERMISSIONS[Role.OWNER],
        approved=True,
        digest=reopening_digest(reopening),
        reason="",
        second_factor=False,
        actor=Actor(owner.email, owner.pk),
        now=now,
    )
    _close_days(cast, [close.day], now=now)
    drain(now=clock.now(), task="reconciliation.write_day_files")
