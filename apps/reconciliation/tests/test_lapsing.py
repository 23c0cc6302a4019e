"""A correction that waits for its second person is void once its difference changed or went away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils.translation import override

from apps.approvals.models import Approval, ApprovalState
from apps.approvals.services import Stale
from apps.approvals.subjects import NotNow
from apps.core.money import Money
from apps.ledger.models import Adjustment, AdjustmentState, JournalEntry
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.services import apply_payment_result
from apps.payments.tests.factories import make_account, make_payment
from apps.platforms.gateway import Outcome, PaymentResult
from apps.platforms.models import PlatformAccount
from apps.reconciliation.acts import LAPSES, events_of
from apps.reconciliation.models import Difference, DifferenceState, Resolution, ResolutionState
from apps.reconciliation.selectors import gone_resolutions, history_of
from apps.reconciliation.services import CannotResolve
from apps.reconciliation.services.resolving import lapsing
from apps.reconciliation.tests.acts import decided, do, may_adjust
from apps.reconciliation.tests.checks import assert_whole
from apps.reconciliation.tests.days import ACTOR, NOON, bill, match, paid
from apps.reconciliation.tests.test_matching import STRANGER
from apps.statements.tests.bills import Row, row_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with override("en"):
        yield


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def shop() -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop)


def only(account: PlatformAccount) -> Difference:
    """The one difference of the run that counts."""
    found: Difference = Difference.objects.get(run__is_current=True, run__account=account)
    return found


def waiting(shop: Shop, account: PlatformAccount) -> Resolution:
    """A correction of the stranger's row that waits for the owner."""
    bill(account, [STRANGER])
    match(account)
    made = do(shop, only(account), "adjust")
    assert made.state == ResolutionState.WAITING
    return made


def ended(made: Resolution) -> tuple[str, str, str, str]:
    """The states of the resolution, its correction and its approval, and why."""
    made.refresh_from_db()
    adjustment = Adjustment.objects.get(pk=made.adjustment_id or 0)
    approval = Approval.objects.get(pk=adjustment.approval_id or 0)
    return made.state, adjustment.state, approval.state, adjustment.message


def void(why: str) -> tuple[str, str, str, str]:
    return ResolutionState.REFUSED, AdjustmentState.CANCELLED, ApprovalState.VOIDED, why


def page(shop: Shop, role: str, name: str, pk: int | None) -> str:
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop[role])
    return client.get(reverse(name, args=[shop.slug, pk])).text


def test_another_amount_voids_it_and_both_people_read_why(
    shop: Shop, account: PlatformAccount
) -> None:
    made = waiting(shop, account)
    bill(account, [STRANGER.but(minor=800)])
    run = match(account)
    row = only(account)
    assert ended(made) == void("difference_changed")
    assert (row.state, row.resolution, row.net_gap_minor) == (DifferenceState.OPEN, None, 796)
    with pytest.raises(Stale):
        decided(shop, made.adjustment)
    assert JournalEntry.objects.count() == 0
    assert_whole(run)
    words = str(LAPSES["difference_changed"])
    assert [words in event["text"] for event in events_of(history_of(row))] == [True]
    assert made.adjustment is not None
    for role in ("finance", "owner"):
        approval = made.adjustment.approval_id
        assert words in page(shop, role, "approvals:approval_detail", approval)
        assert words in page(shop, role, "ledger:adjustment_detail", made.adjustment_id)
        assert words in page(shop, role, "reconciliation:difference_detail", row.pk)
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop["owner"])
    assert words in client.get(reverse("approvals:approval_list", args=[shop.slug])).text
    # It is settled anew, with what it is now.
    again = do(shop, row, "adjust")
    decided(shop, again.adjustment)
    again.refresh_from_db()
    assert again.booked_minor == 796


def test_what_is_gone_is_void_and_nothing_is_overbooked(
    shop: Shop, account: PlatformAccount
) -> None:
    made = waiting(shop, account)
    bill(account, [])
    run = match(account)
    assert ended(made) == void("difference_gone")
    assert Difference.objects.filter(run=run).count() == 0
    assert [each.pk for each in gone_resolutions(run)] == [made.pk]
    assert match(account).difference_count == 0


def test_unchanged_it_waits_on_and_is_booked(shop: Shop, account: PlatformAccount) -> None:
    made = waiting(shop, account)
    bill(account, [STRANGER, row_of(paid(shop, account, 900))])
    match(account)
    decided(shop, made.adjustment)
    made.refresh_from_db()
    assert (made.state, made.booked_minor) == (ResolutionState.DONE, 696)


def test_before_a_newer_bill_is_matched_nobody_decides(
    shop: Shop, account: PlatformAccount
) -> None:
    made = waiting(shop, account)
    bill(account, [STRANGER.but(minor=800)])
    with pytest.raises(NotNow):
        decided(shop, made.adjustment)
    assert ended(made)[2] == ApprovalState.PENDING
    assert JournalEntry.objects.count() == 0
    # A no needs no bill.
    decided(shop, made.adjustment, yes=False)
    assert ended(made)[:2] == (ResolutionState.REFUSED, AdjustmentState.REJECTED)


def test_a_newer_bill_is_told_to_who_confirms(shop: Shop, account: PlatformAccount) -> None:
    made = waiting(shop, account)
    bill(account, [STRANGER.but(minor=800)])
    assert made.adjustment is not None
    approval = Approval.objects.get(pk=made.adjustment.approval_id or 0)
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop["owner"])
    answer = client.post(
        reverse("approvals:approval_detail", args=[shop.slug, approval.pk]),
        {"decision": "approve", "digest": bytes(approval.digest).hex()},
        follow=True,
    )
    assert "A newer bill of that day is here" in answer.text
    assert ended(made)[2] == ApprovalState.PENDING


@pytest.mark.parametrize("matched", [True, False])
def test_what_was_linked_otherwise_is_void(
    shop: Shop, account: PlatformAccount, *, matched: bool
) -> None:
    sold = paid(shop, account, 700)
    bill(account, [STRANGER])
    run = match(account)
    ours = Difference.objects.get(run=run, type="missing_there")
    made = do(shop, ours, "adjust")
    do(shop, Difference.objects.get(run=run, type="missing_here"), "link", payment_id=sold.pk)
    entries = JournalEntry.objects.count()
    if matched:
        assert match(account).difference_count == 0
    else:
        with pytest.raises(Stale):
            decided(shop, made.adjustment)
    assert ended(made) == void("difference_linked")
    assert JournalEntry.objects.count() == entries
    assert match(account).difference_count == 0


def test_what_a_correction_is_booked_for_is_not_linked(
    shop: Shop, account: PlatformAccount
) -> None:
    may_adjust()
    sold = paid(shop, account, 700)
    bill(account, [STRANGER])
    run = match(account)
    do(shop, Difference.objects.get(run=run, type="missing_there"), "adjust")
    with pytest.raises(CannotResolve, match="booked"):
        do(shop, Difference.objects.get(run=run, type="missing_here"), "link", payment_id=sold.pk)


def test_ours_that_became_paid_meanwhile_voids_it(shop: Shop, account: PlatformAccount) -> None:
    """No matching follows a notification at once: the decision itself looks."""
    lost = make_payment(shop, account, now=NOON)
    line = Row(order_no=lost.order_no, trade_no="4200000001", minor=10_000, fee=60, at=NOON)
    bill(account, [line])
    match(account)
    row = only(account)
    assert row.type == "status"
    made = do(shop, row, "adjust")
    apply_payment_result(
        payment_id=lost.pk,
        result=PaymentResult(
            outcome=Outcome.SUCCEEDED,
            order_no=lost.order_no,
            platform_trade_no="4200000001",
            amount=Money(10_000),
            paid_at=NOON,
        ),
        via="poll",
        now=NOW,
        actor=ACTOR,
    )
    entries = JournalEntry.objects.count()
    with pytest.raises(Stale):
        decided(shop, made.adjustment)
    assert ended(made) == void("difference_gone")
    assert JournalEntry.objects.count() == entries
    assert match(account).difference_count == 0


def test_every_code_has_words(shop: Shop) -> None:
    assert set(LAPSES) == {lapsing.GONE, lapsing.CHANGED, lapsing.LINKED}


def test_the_second_persons_words_are_in_the_story(shop: Shop, account: PlatformAccount) -> None:
    made = waiting(shop, account)
    decided(shop, made.adjustment, yes=False)
    (event,) = events_of(history_of(only(account)))
    assert "Refused: “不对”. Nothing was booked." in event["text"]
