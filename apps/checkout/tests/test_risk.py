"""Payments under the risk rules: judged before they begin, counted afterwards, held and let go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.approvals.models import Approval
from apps.approvals.services import decide
from apps.checkout.facts import facts_since
from apps.checkout.services import PaymentHeld, count_risk, expect_count, give_up, judge
from apps.core.audit import Actor
from apps.core.models import Due
from apps.core.money import Money
from apps.merchants.models import Membership, Store
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments import services as payments
from apps.payments.models import Order, Payment
from apps.payments.tests.factories import make_account, paid_result
from apps.platforms.gateway import Product
from apps.platforms.models import PlatformAccount
from apps.qrcodes.models import CodeState, QRCode
from apps.qrcodes.services import create_code, resume_code
from apps.risk.models import AlertState, HoldState, RiskAlert, RiskDraft, RiskHold, RiskRuleBook
from apps.risk.replaying import replay
from apps.risk.rules import Outcome, RuleKind, Rules, read_rules, write_rules
from apps.risk.selectors import book_on
from apps.risk.services import (
    AlreadyAnswered,
    NotOpenAnyMore,
    RulesChanged,
    answer_hold,
    change_rules,
    confirm_by_payer,
    draft_digest,
    freeze_alerted_code,
    handle_alert,
)
from apps.risk.tests.oracle import only

ACTOR = Actor("t")


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    shop = make_shop()
    with inside(shop):
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop)


@pytest.fixture
def code(shop: Shop) -> QRCode:
    return create_code(store_id=shop.store.pk, kind="counter", name="前台", actor=ACTOR, now=NOW)


def in_force(rules: Rules) -> None:
    last = RiskRuleBook.objects.count()
    RiskRuleBook.objects.create(
        version=last + 1, effective_from=NOW.date(), rules=write_rules(rules), created_at=NOW
    )


def order_by(code: QRCode, minor: int, *, minutes: int = 0) -> Order:
    return payments.open_order(
        store_id=code.store_id,
        code_id=code.pk,
        amount=Money(minor),
        subject="茶",
        now=NOW + timedelta(minutes=minutes),
        actor=ACTOR,
    )


def pay(code: QRCode, account: PlatformAccount, minor: int, *, minutes: int = 0) -> Payment:
    at = NOW + timedelta(minutes=minutes)
    order = order_by(code, minor, minutes=minutes)
    payment = payments.prepare_payment(
        order_id=order.pk, account_id=account.pk, product=Product.DYNAMIC_QR, now=at, actor=ACTOR
    )
    payments.apply_payment_result(
        payment_id=payment.pk,
        result=paid_result(payment, at=at),
        via="notification",
        now=at,
        actor=ACTOR,
    )
    return payment


class TestBegin:
    def test_it_costs_one_statement_two_or_three(
        self,
        code: QRCode,
        account: PlatformAccount,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        order = order_by(code, 6_000)
        with django_assert_num_queries(1):
            judge(order=order, now=NOW)
        in_force(only(RuleKind.CODE_DAY, minor=10_000))
        with django_assert_num_queries(2):
            judge(order=order, now=NOW)
        pay(code, account, 5_000)
        with django_assert_num_queries(3):
            judge(order=order, now=NOW)
        alert = RiskAlert.objects.get()
        assert (alert.subject_kind, alert.subject, alert.evidence["minor"]) == (
            "code",
            str(code.pk),
            5_000,
        )
        in_force(only(RuleKind.CODE_DAY, Outcome.HOLD, minor=10_000))
        with django_assert_num_queries(3), pytest.raises(PaymentHeld):
            judge(order=order, now=NOW)
        with django_assert_num_queries(1), pytest.raises(PaymentHeld):
            judge(order=order, now=NOW)

    def test_exactly_the_limit_passes(self, code: QRCode, account: PlatformAccount) -> None:
        in_force(only(RuleKind.CODE_DAY, Outcome.HOLD, minor=10_000))
        pay(code, account, 4_000)
        judge(order=order_by(code, 6_000), now=NOW)
        assert not RiskAlert.objects.exists()
        with pytest.raises(PaymentHeld):
            judge(order=order_by(code, 6_001), now=NOW)

    def test_the_payer_confirms_once(self, code: QRCode) -> None:
        in_force(only(RuleKind.PAYER_DAY, Outcome.CONFIRM, minor=50_000))
        order = order_by(code, 50_001)
        for _ in range(2):
            with pytest.raises(PaymentHeld) as held:
                judge(order=order, now=NOW)
            assert held.value.verdict.outcome is Outcome.CONFIRM
        assert RiskHold.objects.count() == 1
        assert confirm_by_payer(kind="order", subject_id=order.pk, now=NOW)
        assert not confirm_by_payer(kind="order", subject_id=order.pk, now=NOW)
        judge(order=order, now=NOW)

    def test_a_payer_s_payments_by_all_codes_count_together(
        self, shop: Shop, code: QRCode, account: PlatformAccount
    ) -> None:
        in_force(only(RuleKind.PAYER_DAY, Outcome.CONFIRM, minor=50_000))
        other = create_code(
            store_id=shop.store.pk, kind="counter", name="吧台", actor=ACTOR, now=NOW
        )
        pay(other, account, 30_000)
        order = order_by(code, 20_001)
        judge(order=order, payer_id="somebody else", now=NOW)
        with pytest.raises(PaymentHeld):
            judge(order=order, payer_id="oPayer", now=NOW)
        assert RiskAlert.objects.get().subject_kind == "payer"

    def test_a_code_is_frozen_and_stays_so_for_orders_begun_before(
        self, shop: Shop, code: QRCode
    ) -> None:
        in_force(only(RuleKind.CODE_DAY, Outcome.FREEZE, minor=10_000))
        before, order = order_by(code, 1_00), order_by(code, 10_001)
        with pytest.raises(PaymentHeld):
            judge(order=order, now=NOW)
        code.refresh_from_db()
        assert code.state == CodeState.PAUSED
        with pytest.raises(PaymentHeld):
            judge(order=before, now=NOW)
        resume_code(code_id=code.pk, actor=ACTOR, now=NOW)
        judge(order=before, now=NOW)

    def test_a_code_paused_by_hand_lets_begun_orders_go_on(self, code: QRCode) -> None:
        QRCode.objects.filter(pk=code.pk).update(state=CodeState.PAUSED)
        judge(order=order_by(code, 100), now=NOW)

    def test_a_member_lets_it_be_paid_or_refuses(self, shop: Shop, code: QRCode) -> None:
        in_force(only(RuleKind.CODE_DAY, Outcome.HOLD, minor=10_000))
        for release in (True, False):
            order = order_by(code, 10_001)
            with pytest.raises(PaymentHeld):
                judge(order=order, now=NOW)
            hold = RiskHold.objects.get(subject_id=order.pk)
            answer_hold(
                hold_id=hold.pk, release=release, member=shop["owner"], actor=ACTOR, now=NOW
            )
            with pytest.raises(AlreadyAnswered):
                answer_hold(
                    hold_id=hold.pk, release=True, member=shop["owner"], actor=ACTOR, now=NOW
                )
            if release:
                judge(order=order, now=NOW)
            else:
                with pytest.raises(PaymentHeld) as held:
                    judge(order=order, now=NOW)
                assert held.value.verdict.refused
                order.refresh_from_db()
                assert order.expires_at == NOW

    def test_after_a_false_alarm_it_is_quiet_for_a_week(self, shop: Shop, code: QRCode) -> None:
        in_force(only(RuleKind.CODE_DAY, Outcome.FREEZE, minor=10_000))
        with pytest.raises(PaymentHeld):
            judge(order=order_by(code, 10_001), now=NOW)
        alert = RiskAlert.objects.get()
        handle_alert(
            alert_id=alert.pk,
            verdict=AlertState.FALSE_ALARM,
            note="婚宴",
            member=shop["owner"],
            actor=ACTOR,
            now=NOW,
        )
        resume_code(code_id=code.pk, actor=ACTOR, now=NOW)
        judge(order=order_by(code, 10_001), now=NOW)
        with pytest.raises(PaymentHeld):
            judge(order=order_by(code, 10_001), now=NOW + timedelta(days=8))

    def test_an_order_without_a_code_is_not_judged(
        self, shop: Shop, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        order = payments.open_order(
            store_id=shop.store.pk, code_id=None, amount=Money(1), subject="", now=NOW, actor=ACTOR
        )
        with django_assert_num_queries(0):
            judge(order=order, now=NOW)


class TestAfterwards:
    def burst(self, code: QRCode, account: PlatformAccount) -> None:
        for number in range(3):
            pay(code, account, 1_000, minutes=number)

    def test_twice_is_once_and_ended_stays_ended(
        self, shop: Shop, code: QRCode, account: PlatformAccount
    ) -> None:
        in_force(only(RuleKind.CODE_VELOCITY, count=3, minutes=10))
        self.burst(code, account)
        later = NOW + timedelta(minutes=5)
        first, second = count_risk(now=later), count_risk(now=later)
        assert (first.new, second.new, second.changed) == (1, 0, 0)
        alert = RiskAlert.objects.get()
        assert [one["minor"] for one in alert.evidence["shown"]] == [1_000] * 3
        handle_alert(
            alert_id=alert.pk,
            verdict=AlertState.ACTED,
            note="",
            member=shop["owner"],
            actor=ACTOR,
            now=later,
        )
        assert count_risk(now=later).new == 0
        pay(code, account, 1_000, minutes=6)
        assert count_risk(now=NOW + timedelta(minutes=7)).new == 1

    def test_more_of_the_same_adds_to_the_open_alert(
        self, code: QRCode, account: PlatformAccount
    ) -> None:
        in_force(only(RuleKind.CODE_VELOCITY, count=3, minutes=10))
        self.burst(code, account)
        count_risk(now=NOW + timedelta(minutes=3))
        pay(code, account, 1_000, minutes=4)
        raised = count_risk(now=NOW + timedelta(minutes=5))
        assert (raised.new, raised.changed) == (0, 1)
        assert RiskAlert.objects.get().evidence["count"] == 4

    def test_a_rule_that_freezes_pauses_the_code(
        self, code: QRCode, account: PlatformAccount
    ) -> None:
        in_force(only(RuleKind.CODE_VELOCITY, Outcome.FREEZE, count=3, minutes=10))
        self.burst(code, account)
        assert count_risk(now=NOW + timedelta(minutes=3)).frozen == 1
        code.refresh_from_db()
        assert code.state == CodeState.PAUSED

    def test_the_replay_finds_what_the_task_raises(
        self, code: QRCode, account: PlatformAccount
    ) -> None:
        rules = only(RuleKind.CODE_VELOCITY, count=3, minutes=10)
        self.burst(code, account)
        now = NOW + timedelta(minutes=3)
        tried = replay(
            facts_since(NOW.date() - timedelta(days=2), now=now),
            today=read_rules({}),
            draft=rules,
            since=NOW.date(),
        )
        (row,) = [one for one in tried if one.draft]
        in_force(rules)
        count_risk(now=now)
        alert = RiskAlert.objects.get()
        (found,) = row.new
        assert (found.rule, found.subject, found.count, found.shown) == (
            alert.rule,
            alert.subject,
            alert.evidence["count"],
            alert.evidence["shown"],
        )

    def test_only_a_merchant_that_took_something_is_counted(
        self, shop: Shop, code: QRCode, account: PlatformAccount
    ) -> None:
        due = Due.objects.filter(task="checkout.count_risk")
        expect_count(now=NOW)
        assert not due.exists()
        pay(code, account, 1)
        expect_count(now=NOW)
        expect_count(now=NOW)
        assert due.count() == 1

    def test_one_open_alert_a_rule_and_subject(
        self, code: QRCode, account: PlatformAccount
    ) -> None:
        in_force(only(RuleKind.CODE_VELOCITY, count=3, minutes=10))
        self.burst(code, account)
        count_risk(now=NOW + timedelta(minutes=3))
        twin = RiskAlert.objects.get()
        twin.pk = None
        with pytest.raises(IntegrityError), transaction.atomic():
            twin.save(force_insert=True)

    def test_pausing_by_one_click_ends_the_alert(
        self, shop: Shop, code: QRCode, account: PlatformAccount
    ) -> None:
        in_force(only(RuleKind.CODE_VELOCITY, count=3, minutes=10))
        self.burst(code, account)
        count_risk(now=NOW + timedelta(minutes=3))
        alert = RiskAlert.objects.get()
        freeze_alerted_code(alert_id=alert.pk, member=shop["owner"], actor=ACTOR, now=NOW)
        code.refresh_from_db()
        assert code.state == CodeState.PAUSED
        with pytest.raises(NotOpenAnyMore):
            handle_alert(
                alert_id=alert.pk,
                verdict=AlertState.SEEN,
                note="",
                member=shop["owner"],
                actor=ACTOR,
                now=NOW,
            )

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM risk_riskalert",
            "UPDATE risk_riskalert SET subject = 'x'",
            "DELETE FROM risk_riskrulebook",
            "UPDATE risk_riskrulebook SET rules = '{}'",
        ],
    )
    def test_what_was_found_and_what_held_stays(
        self, code: QRCode, account: PlatformAccount, statement: str
    ) -> None:
        in_force(only(RuleKind.CODE_VELOCITY, count=3, minutes=10))
        self.burst(code, account)
        count_risk(now=NOW + timedelta(minutes=3))
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


class TestChangingRules:
    def change(self, shop: Shop, role: str, rules: Rules, *, based_on: int = 0) -> RiskDraft:
        return change_rules(
            rules=rules,
            based_on=based_on,
            effective_from=NOW.date(),
            reason="x",
            member=shop[role],
            actor=ACTOR,
            today=NOW.date(),
            now=NOW,
        )

    def test_another_member_confirms(self, shop: Shop) -> None:
        rules = only(RuleKind.CODE_DAY, minor=1_000)
        draft = self.change(shop, "owner", rules)
        assert book_on(NOW.date()).version == 0
        with pytest.raises(RulesChanged):
            self.change(shop, "finance", rules)
        approval = Approval.objects.get(subject_kind="risk_book")
        decide(
            approval_id=approval.pk,
            member=shop["finance"],
            permissions=frozenset({"risk.manage"}),
            approved=True,
            digest=draft_digest(draft),
            reason="",
            second_factor=True,
            actor=ACTOR,
            now=NOW,
        )
        book = book_on(NOW.date())
        assert (book.version, dict(book.rules)) == (1, rules)

    def test_a_one_person_shop_needs_nobody(self, shop: Shop) -> None:
        Membership.objects.filter(merchant=shop.merchant).exclude(user=shop["owner"]).delete()
        self.change(shop, "owner", only(RuleKind.CODE_DAY))
        assert book_on(NOW.date()).version == 1
        with pytest.raises(RulesChanged):
            self.change(shop, "owner", only(RuleKind.CODE_DAY), based_on=0)


class TestPages:
    def alert(self, store: Store | None) -> RiskAlert:
        subject = str(store.pk if store else 0)
        return RiskAlert.objects.create(
            rule="night",
            subject_kind="store",
            subject=subject,
            store=store,
            outcome="flag",
            severity="watch",
            evidence={
                "count": 6,
                "minor": 60_000,
                "base_minor": 0,
                "first_at": NOW.isoformat(),
                "last_at": NOW.isoformat(),
                "shown": [],
                "version": 0,
                "values": {"begins": 1, "ends": 5, "count": 5, "minor": 50_000},
            },
            raised_at=NOW,
            last_at=NOW,
        )

    def test_members_of_some_stores_see_only_theirs(self, shop: Shop, client: Client) -> None:
        other = Store.objects.create(name="二号店")
        mine, theirs, nobodys = self.alert(shop.store), self.alert(other), self.alert(None)
        Membership.objects.filter(user=shop["manager"]).update(store_ids=[shop.store.pk])
        client.force_login(shop["manager"])
        page = client.get("/m/tea/risk/").content.decode()
        assert f"/risk/alerts/{mine.pk}/" in page
        for hidden in (theirs, nobodys):
            assert f"/risk/alerts/{hidden.pk}/" not in page
            assert client.get(f"/m/tea/risk/alerts/{hidden.pk}/").status_code == 404
        for closed in ("rules/", "rules/simulate/", "rules/change/", "assessment/"):
            assert client.get(f"/m/tea/risk/{closed}").status_code == 403

    def test_an_auditor_looks_and_does_nothing(self, shop: Shop, client: Client) -> None:
        alert = self.alert(shop.store)
        client.force_login(shop["auditor"])
        url = f"/m/tea/risk/alerts/{alert.pk}/"
        assert client.get(url).status_code == 200
        assert client.post(url, {"act": "acted"}).status_code == 403
        alert.refresh_from_db()
        assert alert.state == AlertState.OPEN

    def test_wrong_numbers_are_told_at_their_fields_and_doubts_before_saving(
        self, shop: Shop, client: Client
    ) -> None:
        client.force_login(shop["owner"])
        url = "/m/tea/risk/rules/change/"
        form = client.get(url).context["form"]
        typed = {field.html_name: field.value() for field in form} | {"reason": "x"}
        typed = {name: value for name, value in typed.items() if value is not False}
        wrong = client.post(url, {**typed, "refund_rate-percent": "101", "night-ends": "1"})
        assert wrong.status_code == 422
        assert set(wrong.context["form"].errors) == {"refund_rate-percent"}
        same = client.post(url, {**typed, "night-ends": "1"})
        assert set(same.context["form"].errors) == {"night-ends"}
        doubtful = {**typed, "night-begins": "5", "night-ends": "4"}
        asked = client.post(url, doubtful)
        assert (asked.status_code, len(asked.context["doubts"])) == (422, 1)
        assert not RiskDraft.objects.exists()
        assert client.post(url, {**doubtful, "sure": "1"}).status_code == 302
        assert RiskDraft.objects.count() == 1
        tried = client.post("/m/tea/risk/rules/simulate/", {**typed, "days": "90"})
        assert tried.status_code == 200


class TestWaiting:
    """What a member finds about customers who wait: in the list, on Today, at the bell."""

    def held(self, code: QRCode, minor: int = 10_001) -> RiskHold:
        order = order_by(code, minor)
        with pytest.raises(PaymentHeld):
            judge(order=order, now=NOW)
        return RiskHold.objects.get(subject_id=order.pk)

    @pytest.fixture(autouse=True)
    def rules(self, shop: Shop) -> None:
        in_force(only(RuleKind.CODE_DAY, Outcome.HOLD, minor=10_000))

    def open(self, shop: Shop, client: Client, role: str, path: str) -> str:
        client.force_login(shop[role])
        return client.get(f"/m/tea/{path}", headers={"accept-language": "en"}).content.decode()

    @pytest.mark.parametrize("count", [1, 3])
    def test_the_bell_and_today_count_who_waits(
        self, shop: Shop, code: QRCode, client: Client, count: int
    ) -> None:
        for _ in range(count):
            self.held(code)
        words = f"{count} thing{'s' * (count > 1)} wait{'s' * (count == 1)} for you"
        with time_machine.travel(NOW, tick=False):
            for role, asked in (("owner", True), ("manager", True), ("auditor", False)):
                page = self.open(shop, client, role, "")
                assert (words in page) is asked
                assert ("let a payment begin" in page) is asked
                # The alert that the rule raised is there for all who may see risk.
                assert "1 risk alert is open" in page
            page = self.open(shop, client, "owner", "codes/")
            assert 'shell-waiting" href="/m/tea/risk/"' in page

    def test_what_nobody_answered_stays_for_a_week(
        self, shop: Shop, code: QRCode, client: Client
    ) -> None:
        hold = self.held(code)
        for after, waits, missed in (
            (timedelta(0), 1, 0),
            (hold.expires_at - NOW, 0, 1),
            (hold.expires_at - NOW + timedelta(days=6), 0, 1),
            (hold.expires_at - NOW + timedelta(days=7), 0, 0),
        ):
            with time_machine.travel(NOW + after, tick=False):
                page = self.open(shop, client, "owner", "risk/")
            assert page.count('data-testid="hold"') == waits
            assert page.count('data-testid="missed"') == missed

    def test_who_gives_up_waits_no_more(self, shop: Shop, code: QRCode, client: Client) -> None:
        hold = self.held(code)
        give_up(order=Order.objects.get(pk=hold.subject_id), now=NOW, actor=ACTOR)
        hold.refresh_from_db()
        assert hold.state == HoldState.LEFT
        with pytest.raises(AlreadyAnswered):
            answer_hold(hold_id=hold.pk, release=True, member=shop["owner"], actor=ACTOR, now=NOW)
        for at in (NOW, NOW + timedelta(days=1)):
            with time_machine.travel(at, tick=False):
                page = self.open(shop, client, "owner", "risk/")
            assert 'data-testid="hold"' not in page
            assert 'data-testid="missed"' not in page

    def test_the_list_asks_the_same_however_many_wait(
        self,
        shop: Shop,
        code: QRCode,
        client: Client,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        client.force_login(shop["owner"])
        with time_machine.travel(NOW, tick=False):
            for more in (1, 4):
                for _ in range(more):
                    self.held(code)
                with django_assert_num_queries(10):
                    assert client.get("/m/tea/risk/").status_code == 200

    def test_the_customer_s_page_is_only_for_who_is_held(
        self, shop: Shop, code: QRCode, client: Client
    ) -> None:
        free = order_by(code, 100)
        with time_machine.travel(NOW, tick=False):
            answer = client.get(f"/pay/{free.token}/check")
            assert (answer.status_code, answer["Location"]) == (303, f"/pay/{free.token}")
            hold = self.held(code)
            order = Order.objects.get(pk=hold.subject_id)
            page = client.get(f"/pay/{order.token}/check")
            assert 'data-stage="member"' in page.content.decode()
            assert 'http-equiv="refresh"' in page.content.decode()
            answer_hold(hold_id=hold.pk, release=True, member=shop["owner"], actor=ACTOR, now=NOW)
            assert client.get(f"/pay/{order.token}/check").status_code == 303


@pytest.mark.django_db
def test_another_merchant_s_rules_and_alerts_play_no_part() -> None:
    tea, bar = make_shop("tea"), make_shop("bar")
    with inside(bar):
        in_force(only(RuleKind.CODE_DAY, Outcome.HOLD, minor=1))
        theirs = create_code(store_id=bar.store.pk, kind="counter", name="x", actor=ACTOR, now=NOW)
        with pytest.raises(PaymentHeld):
            judge(order=order_by(theirs, 100), now=NOW)
    with inside(tea):
        ours = create_code(store_id=tea.store.pk, kind="counter", name="x", actor=ACTOR, now=NOW)
        judge(order=order_by(ours, 100), now=NOW)
        assert not RiskAlert.objects.exists()
        assert count_risk(now=NOW).new == 0
