"""One thing done about many differences, and rules that do it by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils.translation import override
from pytest_django import DjangoAssertNumQueries

from apps.core import tasks
from apps.core.models import AuditEvent, Due
from apps.core.money import Money
from apps.ledger.models import Adjustment
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation.acts import refusal_code_words
from apps.reconciliation.models import (
    AutoRule,
    BulkAct,
    BulkRow,
    Difference,
    Resolution,
    ResolutionKind,
)
from apps.reconciliation.selectors import rehearse
from apps.reconciliation.services import (
    Act,
    cancel_bulk,
    continue_bulk,
    move_rule,
    save_rule,
    set_write_off_limit,
    start_bulk,
    switch_rule,
)
from apps.reconciliation.services.bulk import AT_ONCE, PIECE
from apps.reconciliation.tests.acts import do
from apps.reconciliation.tests.checks import assert_whole
from apps.reconciliation.tests.days import ACTOR, DAY, bill, match, paid
from apps.reconciliation.tests.test_matching import STRANGER
from apps.statements.tests.bills import Row, row_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop)


def strangers(count: int) -> list[Row]:
    return [STRANGER.but(order_no=f"POS{each}", trade_no=f"43{each}") for each in range(count)]


def bulk(shop: Shop, kind: str, *, owner_id: int | None = None) -> BulkAct:
    return start_bulk(
        rows=Difference.objects.filter(run__is_current=True),
        act=Act(kind=ResolutionKind(kind), reason="POS 机"),
        owner_id=owner_id,
        member=shop["finance"],
        actor=ACTOR,
        now=NOW,
    )


def outcomes() -> dict[str, int]:
    found: dict[str, int] = {}
    for outcome in BulkRow.objects.values_list("outcome", flat=True):
        found[outcome] = found.get(outcome, 0) + 1
    return found


def test_many_are_kept_by_a_few_statements(
    shop: Shop, account: PlatformAccount, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    bill(account, strangers(AT_ONCE + 30))
    run = match(account)
    made = bulk(shop, "keep")
    assert (made.total, made.done, made.failed, made.finished_at) == (
        AT_ONCE + 30,
        AT_ONCE,
        0,
        None,
    )
    assert Due.objects.filter(task="reconciliation.bulk").count() == 1
    # Interrupted here, a worker goes on where it stopped.
    with django_assert_num_queries(16):
        done = continue_bulk(bulk_id=made.pk, actor=ACTOR, now=NOW)
    assert (done.done, done.failed, done.finished_at) == (AT_ONCE + 30, 0, NOW)
    assert set(Difference.objects.filter(run=run).values_list("state", flat=True)) == {"resolved"}
    assert Resolution.objects.filter(bulk=made, member=shop["finance"]).count() == AT_ONCE + 30
    assert_whole(match(account))
    assert set(Difference.objects.filter(run__is_current=True).values_list("state")) == {
        ("resolved",)
    }
    counted = AuditEvent.objects.filter(action="differences.kept").order_by("pk")
    assert [event.data["count"] for event in counted] == [AT_ONCE, 30]


def test_a_worker_finishes_what_is_long(shop: Shop, account: PlatformAccount) -> None:
    bill(account, strangers(AT_ONCE + PIECE + 5))
    match(account)
    made = bulk(shop, "accept")
    Due.objects.exclude(task="reconciliation.bulk").delete()
    tasks.drain(now=NOW, task="reconciliation.bulk")
    made.refresh_from_db()
    assert (made.done, made.finished_at is not None) == (AT_ONCE + PIECE + 5, True)
    assert Payment.objects.filter(source="platform").count() == AT_ONCE + PIECE + 5
    assert match(account).difference_count == 0


def test_each_row_says_what_came_of_it(shop: Shop, account: PlatformAccount) -> None:
    set_write_off_limit(limit=Money(700), member=shop["owner"], actor=ACTOR, now=NOW)
    sold = paid(shop, account)
    bill(
        account,
        [
            *strangers(2),
            STRANGER.but(order_no="B", trade_no="B", minor=900),
            row_of(sold).but(fee=59),
        ],
    )
    match(account)
    do(shop, Difference.objects.filter(type="missing_here").order_by("pk")[0], "keep")
    made = bulk(shop, "write_off")
    assert outcomes() == {"done": 2, "settled": 1, "above_limit": 1}
    assert (made.total, made.done, made.failed) == (4, 2, 2)
    assert Adjustment.objects.count() == 2


def test_keeping_many_settles_each_once_whatever_run_it_was_chosen_in(
    shop: Shop, account: PlatformAccount
) -> None:
    bill(account, strangers(3))
    old = match(account)
    match(account)
    do(shop, Difference.objects.filter(run__is_current=True).order_by("pk")[0], "keep")
    start_bulk(
        rows=Difference.objects.all(),
        act=Act(kind=ResolutionKind.KEEP, reason="x"),
        member=shop["finance"],
        actor=ACTOR,
        now=NOW,
    )
    assert outcomes() == {"settled": 4, "done": 2}
    assert Resolution.objects.count() == 3
    assert set(Difference.objects.filter(run=old).values_list("state")) == {("open",)}


def test_what_waits_counts_as_done(shop: Shop, account: PlatformAccount) -> None:
    bill(account, strangers(2))
    match(account)
    assert bulk(shop, "adjust").done == 2
    assert outcomes() == {"waiting": 2}


def test_many_are_given_to_somebody(shop: Shop, account: PlatformAccount) -> None:
    bill(account, strangers(3))
    match(account)
    assert bulk(shop, "assign", owner_id=shop["owner"].pk).done == 3
    assert set(Difference.objects.values_list("assigned_to", "state")) == {
        (shop["owner"].pk, "open")
    }


def test_a_long_act_is_stopped(shop: Shop, account: PlatformAccount) -> None:
    bill(account, strangers(AT_ONCE + 3))
    match(account)
    made = bulk(shop, "keep")
    stopped = cancel_bulk(bulk_id=made.pk, actor=ACTOR, now=NOW)
    assert stopped.cancelled_at == NOW
    assert outcomes() == {"done": AT_ONCE, "cancelled": 3}
    assert Due.objects.filter(task="reconciliation.bulk").count() == 0
    continue_bulk(bulk_id=made.pk, actor=ACTOR, now=NOW)
    assert Difference.objects.filter(state="open").count() == 3


@pytest.mark.parametrize("kind", ["keep", "write_off", "accept", "assign"])
def test_a_day_matched_again_in_the_middle_is_gone_on_with(
    shop: Shop, account: PlatformAccount, kind: str
) -> None:
    """Each row is what it was about: done where that is unchanged, else told in a sentence."""
    set_write_off_limit(limit=Money(700), member=shop["owner"], actor=ACTOR, now=NOW)
    rows = strangers(AT_ONCE + 4)
    bill(account, rows)
    match(account)
    made = bulk(shop, kind, owner_id=shop["owner"].pk if kind == "assign" else None)
    *same, last, _gone = rows
    bill(account, [*same, last.but(minor=705), STRANGER])
    run = match(account)
    done = continue_bulk(bulk_id=made.pk, actor=ACTOR, now=NOW)
    assert outcomes() == {"done": AT_ONCE + 2, "changed": 1, "gone": 1}
    assert (done.done, done.failed, done.finished_at) == (AT_ONCE + 2, 2, NOW)
    told = BulkRow.objects.filter(outcome__in=["changed", "gone"]).values_list("outcome", flat=True)
    with override("en"):
        assert all("matched again" in refusal_code_words(each) for each in told)
    current = Resolution.objects.filter(difference_id__in=Difference.objects.filter(run=run))
    assert current.count() == 2
    if kind != "accept":
        assert_whole(match(account))


def test_a_newer_bill_that_is_not_matched_yet_is_told(shop: Shop, account: PlatformAccount) -> None:
    bill(account, strangers(2))
    match(account)
    bill(account, strangers(3))
    bulk(shop, "accept")
    assert outcomes() == {"new_bill": 2}
    assert Payment.objects.count() == 0


# ---------------------------------------------------------------- rules
def rule(shop: Shop, *, on: bool = True, **changes: object) -> AutoRule:
    facts: dict[str, object] = {
        "rule_id": None,
        "effective_from": DAY,
        "type": "",
        "platform": "",
        "account_id": None,
        "min_amount_minor": None,
        "max_amount_minor": None,
        "max_gap_minor": None,
        "min_age_days": 0,
        "action": "keep",
        "reason": "一分钱的进位",
        **changes,
    }
    made = save_rule(member=shop["owner"], actor=ACTOR, now=NOW, **facts)  # type: ignore[arg-type]  # facts by name
    return switch_rule(rule_id=made.pk, is_on=on, actor=ACTOR, now=NOW) if on else made


def odd_day(shop: Shop, account: PlatformAccount) -> None:
    """Three fees a fen apart, one two fen apart, two strangers, a payment that the bill lacks."""
    rows = []
    for more in (1, 1, -1, 2):
        row = row_of(paid(shop, account))
        rows.append(row.but(fee=row.fee + more))
    paid(shop, account, 300)
    bill(account, [*rows, *strangers(2)])


def test_a_rule_is_tried_before_it_acts(
    shop: Shop, account: PlatformAccount, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    odd_day(shop, account)
    match(account)
    do(shop, Difference.objects.filter(type="fee").order_by("pk")[0], "keep")
    made = rule(shop, on=False, type="fee", max_gap_minor=1)
    until = DAY + timedelta(days=1)
    with django_assert_num_queries(3):
        tried = rehearse(made, since=DAY - timedelta(days=30), until=until, now=NOW)
    assert (tried.hits, tried.total, tried.apart_minor, len(tried.rows)) == (3, 7, 3, 3)
    assert rehearse(made, since=until, until=until, now=NOW).total == 0
    # Nothing was done, and switched off it does nothing.
    assert Resolution.objects.count() == 1
    match(account)
    assert Resolution.objects.count() == 1


def test_rules_settle_what_they_fit_in_their_order(shop: Shop, account: PlatformAccount) -> None:
    set_write_off_limit(limit=Money(1), member=shop["owner"], actor=ACTOR, now=NOW)
    odd_day(shop, account)
    rule(shop, type="fee", max_gap_minor=2, action="write_off")
    rule(shop, type="fee", action="keep")
    rule(shop, type="missing_here", action="accept", min_amount_minor=701)
    run = match(account)
    rows = Difference.objects.filter(run=run).order_by("pk").select_related("resolution__rule")
    found = [
        (row.type, row.state, row.resolution.kind, row.resolution.rule.number)
        for row in rows
        if row.resolution is not None and row.resolution.rule is not None
    ]
    assert found == [
        ("fee", "resolved", "write_off", 1),
        ("fee", "resolved", "write_off", 1),
        ("fee", "resolved", "write_off", 1),
        ("fee", "resolved", "keep", 2),
    ]
    assert {row.resolution.member_id for row in rows if row.resolution} == {None}
    assert_whole(run)
    assert Adjustment.objects.filter(requested_by__isnull=True, state="posted").count() == 3
    actors = set(
        AuditEvent.objects.filter(action="difference.write_off").values_list("actor", flat=True)
    )
    assert actors == {"system:rules"}
    # Matched again, nothing is done twice.
    again = match(account)
    assert Adjustment.objects.count() == 3
    assert_whole(again)


def test_a_rule_accepts_and_the_day_is_matched_again(shop: Shop, account: PlatformAccount) -> None:
    odd_day(shop, account)
    rule(shop, type="missing_here", action="accept", account_id=account.pk)
    match(account)
    tasks.drain(now=NOW, task="reconciliation.run")
    assert Payment.objects.filter(source="platform").count() == 2
    current = Difference.objects.filter(run__is_current=True)
    assert sorted(current.values_list("type", flat=True)) == ["fee"] * 4 + ["missing_there"]


@pytest.mark.parametrize(
    "changes",
    [
        {"effective_from": DAY + timedelta(days=1)},
        {"platform": "alipay"},
        {"max_amount_minor": 100},
        {"min_amount_minor": 10_001},
        {"min_age_days": 1},
        {"max_gap_minor": 0},
        {"type": "currency"},
        {"action": "write_off"},
    ],
)
def test_conditions_hold_back(
    shop: Shop, account: PlatformAccount, changes: dict[str, Any]
) -> None:
    odd_day(shop, account)
    rule(shop, **changes)
    match(account)
    assert Resolution.objects.count() == 0


def test_age_counts_from_when_it_was_first_seen(shop: Shop, account: PlatformAccount) -> None:
    bill(account, strangers(1))
    match(account)
    rule(shop, min_age_days=3)
    match(account, now=NOW + timedelta(days=2))
    assert Resolution.objects.count() == 0
    match(account, now=NOW + timedelta(days=3))
    assert Resolution.objects.count() == 1


def test_order_and_switch_are_audited(shop: Shop, account: PlatformAccount) -> None:
    first, second = rule(shop), rule(shop, on=False)
    move_rule(rule_id=second.pk, earlier=True, actor=ACTOR, now=NOW)
    assert list(AutoRule.objects.order_by("position").values_list("number", flat=True)) == [2, 1]
    move_rule(rule_id=second.pk, earlier=True, actor=ACTOR, now=NOW)
    changed = save_rule(
        rule_id=first.pk,
        effective_from=DAY,
        type="fee",
        platform="",
        account_id=None,
        min_amount_minor=None,
        max_amount_minor=None,
        max_gap_minor=2,
        min_age_days=0,
        action="keep",
        reason="x",
        member=shop["owner"],
        actor=ACTOR,
        now=NOW,
    )
    assert (changed.is_on, changed.number) == (False, 1)
    actions = AuditEvent.objects.filter(subject_kind="matching_rule").order_by("pk")
    assert [event.action for event in actions] == [
        "matching_rule.made",
        "matching_rule.switched_on",
        "matching_rule.made",
        "matching_rule.moved",
        "matching_rule.changed",
    ]
