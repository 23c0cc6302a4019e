"""The pages of the refund rules: read, written one by one, tried, published, gone back to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from apps.core import clock
from apps.core.audit import Actor
from apps.core.money import Money
from apps.merchants.models import Membership, Role
from apps.merchants.tests.factories import Shop, inside, make_shop, make_user
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.refunds import rulewords, services
from apps.refunds.forms import RuleForm, initial_of
from apps.refunds.models import Refund, RefundDecision, RefundRuleBook, RefundRuleDraft, RefundState
from apps.refunds.rulefacts import refund_book
from apps.refunds.selectors import current_draft

DESK = Actor("cashier@tea.test")
ENGLISH = {"HTTP_ACCEPT_LANGUAGE": "en"}


def url(name: str, shop: Shop, *args: object) -> str:
    return reverse(f"refunds:{name}", args=[shop.slug, *args])


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


@pytest.fixture
def owner(client: Client, shop: Shop) -> Client:
    client.defaults.update(ENGLISH)
    client.force_login(shop["owner"])
    return client


@pytest.fixture
def payment(shop: Shop) -> Payment:
    with inside(shop):
        return make_paid(shop, make_account(shop), minor=50_000, now=clock.now())


def ask(shop: Shop, payment: Payment, minor: int) -> Refund:
    with inside(shop):
        return services.request_refund(
            payment_id=payment.pk,
            amount=Money(minor),
            reason="茶凉了",
            reason_code="quality",
            member=shop["cashier"],
            actor=DESK,
            now=clock.now(),
        )


def draft_of(shop: Shop) -> RefundRuleDraft:
    with inside(shop):
        draft = current_draft()
        assert draft is not None
        return draft


def revision_of(shop: Shop) -> int:
    with inside(shop):
        draft = current_draft()
        return draft.revision if draft else 0


def add(client: Client, shop: Shop, **fields: Any) -> Any:
    data = {"revision": revision_of(shop), "outcome": "one", "place": 1, **fields}
    return client.post(url("rule_create", shop), data)


class TestReading:
    def test_the_portals_own_rules_as_sentences(self, owner: Client, shop: Shop) -> None:
        page = owner.get(url("rule_book", shop))
        assert [line.sentence for line in page.context["lines"]] == [
            "Over ¥200.00 in all for one payment: another authorised member must confirm.",
            "Everything else: sent at once.",
        ]
        assert "until you write yours" in page.content.decode()

    def test_the_old_address_leads_here(self, owner: Client, shop: Shop) -> None:
        response = owner.get(url("rule_edit", shop))
        assert (response.status_code, response["Location"]) == (301, url("rule_book", shop))

    def test_every_condition_has_its_words(self, shop: Shop) -> None:
        when = {
            "total": {"over": 50_000, "up_to": 100_000},
            "amount": {"up_to": 100},
            "share": {"over": 1_250},
            "age": {"over": 90, "up_to": 7 * 1_440},
            "minute": {"from": 1_320, "until": 360},
            "payer_count_7": {"over": 3},
            "asker_sum_1": {"over": 100},
            "store_count_1": {"over": 9},
            "store": {"is": ["5", ""]},
            "code": {"is": ["table"]},
            "platform": {"is": ["alipay", "wechatpay"]},
            "asker": {"is": ["cashier"]},
            "reason": {"is": ["quality"]},
            "origin": {"is": ["receipt"]},
        }
        content = {"rules": [{"when": when, "outcome": "refuse"}], "otherwise": "at_once"}
        with translation.override("en"):
            sentence = rulewords.lines(refund_book(content), {"5": "First store"})[0].sentence
        assert sentence == (
            "Up to ¥1.00 at a time, over ¥500.00 and up to ¥1,000.00 in all for one payment, "
            "over 12.5 % of the payment in all, more than 90 minutes and up to 7 days after it was paid, "
            "between 22:00 and 06:00, more than 3 refunds for the same payer within 7 days, "
            "more than 9 refunds in the same store within 24 hours, "
            "refunds of more than ¥1.00 together asked for by the same member within 24 hours, at First store or No store, "
            "paid through Table, on WeChat Pay or Alipay, asked for by Cashier, "
            "for the reason “Something was wrong with it”, asked for by the customer on the receipt: refused."
        )


class TestWriting:
    def test_the_first_rule_makes_the_draft(self, owner: Client, shop: Shop) -> None:
        response = add(
            owner,
            shop,
            total_over="500",
            outcome="one_finance",
            note="大额",
            asker=["cashier", "manager"],
            store=[str(shop.store.pk)],
            time_from="22:00",
            time_until="06:00",
            payer_count_over="3",
            payer_days="7",
            age_over="2",
            age_unit="hours",
        )
        assert response["Location"] == url("rule_draft", shop)
        assert draft_of(shop).content["rules"][0] == {
            "when": {
                "total": {"over": 50_000},
                "age": {"over": 120},
                "minute": {"from": 1_320, "until": 360},
                "payer_count_7": {"over": 3},
                "store": {"is": [str(shop.store.pk)]},
                "asker": {"is": ["cashier", "manager"]},
            },
            "outcome": "one_finance",
            "note": "大额",
        }
        with inside(shop):
            assert not RefundRuleBook.objects.exists()
        page = owner.get(url("rule_change", shop, 1))
        assert page.context["form"]["total_over"].value() == "500.00"
        assert page.context["form"]["age_unit"].value() == "hours"

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"share_over": "101"}, "share_over"),
            ({"share_over": "100"}, "share_over"),
            ({"share_up_to": "-1"}, "share_up_to"),
            ({"share_up_to": "half"}, "share_up_to"),
            ({"share_up_to": "12.345"}, "share_up_to"),
            ({"total_over": "abc"}, "total_over"),
            ({"total_over": "-5"}, "total_over"),
            ({"total_over": "500", "total_up_to": "500"}, "total_up_to"),
            ({"amount_up_to": "0"}, "amount_up_to"),
            ({"amount_over": "1000000000000"}, "amount_over"),
            ({"age_over": "3", "age_up_to": "2"}, "age_up_to"),
            ({"age_over": "9999"}, "age_over"),
            ({"age_over": "0"}, "age_over"),
            ({"time_from": "22:00"}, "time_until"),
            ({"time_until": "25:00"}, "time_until"),
            ({"time_from": "10:00", "time_until": "10:00"}, "time_until"),
            ({"payer_count_over": "x"}, "payer_count_over"),
            ({"store": ["0"]}, "store"),
            ({"platform": ["paypal"]}, "platform"),
            ({"outcome": "fly"}, "outcome"),
            ({"place": "9"}, "place"),
            ({"note": "x" * 121}, "note"),
        ],
    )
    def test_mistakes_are_named_where_they_stand(
        self, owner: Client, shop: Shop, fields: dict[str, Any], field: str
    ) -> None:
        response = add(owner, shop, **fields)
        assert response.status_code == 422
        assert field in response.context["form"].errors
        assert revision_of(shop) == 0

    def test_a_rule_that_never_decides_is_pointed_out_before_it_is_kept(
        self, owner: Client, shop: Shop
    ) -> None:
        """The portal's own rule over ¥200 comes first."""
        response = add(owner, shop, total_over="300", outcome="refuse", place=2)
        assert response.status_code == 422
        assert response.context["problems"] == [
            "It never decides: rule 1 comes first and says otherwise."
        ]
        assert revision_of(shop) == 0
        kept = add(owner, shop, total_over="300", outcome="refuse", place=2, accepted="on")
        assert kept.status_code == 302
        page = owner.get(url("rule_draft", shop))
        assert page.context["entries"][1]["problem"]
        assert not page.context["publishable"]
        assert owner.post(url("rule_publish", shop), {"revision": revision_of(shop)}).headers[
            "Location"
        ] == url("rule_draft", shop)
        # In the other order both decide.
        data = {"revision": revision_of(shop), "rule": 2, "act": "earlier"}
        owner.post(url("rule_draft", shop), data)
        assert owner.get(url("rule_draft", shop)).context["publishable"]

    def test_a_rule_that_takes_all_from_another_is_pointed_out(
        self, owner: Client, shop: Shop
    ) -> None:
        response = add(owner, shop, total_over="100", outcome="one")
        assert response.status_code == 422
        assert response.context["problems"] == [
            "Rule 2: It never decides: rule 1 comes first and says the same."
        ]

    def test_conditions_that_exclude_each_other(self, owner: Client, shop: Shop) -> None:
        """No refund is larger than all refunds of its payment."""
        response = add(owner, shop, amount_over="50", total_up_to="40")
        assert response.context["problems"][0].startswith("Its conditions can never hold together")

    def test_moving_changing_and_removing(self, owner: Client, shop: Shop) -> None:
        add(owner, shop, amount_over="700", outcome="two")
        owner.post(
            url("rule_draft", shop), {"revision": revision_of(shop), "rule": 1, "act": "later"}
        )
        outcomes = [one["outcome"] for one in draft_of(shop).content["rules"]]
        assert outcomes == ["one", "two"]
        data = {
            "revision": revision_of(shop),
            "place": 1,
            "outcome": "refuse",
            "amount_over": "900",
        }
        owner.post(url("rule_change", shop, 2), data)
        assert draft_of(shop).content["rules"][0] == {
            "when": {"amount": {"over": 90_000}},
            "outcome": "refuse",
        }
        owner.post(
            url("rule_draft", shop), {"revision": revision_of(shop), "rule": 1, "act": "remove"}
        )
        assert len(draft_of(shop).content["rules"]) == 1
        data = {"revision": revision_of(shop), "act": "otherwise", "otherwise": "two"}
        owner.post(url("rule_draft", shop), data)
        assert draft_of(shop).content["otherwise"] == "two"
        owner.post(url("rule_draft", shop), {"revision": revision_of(shop), "act": "drop"})
        assert revision_of(shop) == 0

    def test_what_another_owner_changed_is_read_first(self, owner: Client, shop: Shop) -> None:
        add(owner, shop, amount_over="700", outcome="two")
        stale = revision_of(shop) - 1
        for name, data in (
            ("rule_draft", {"rule": 1, "act": "remove"}),
            ("rule_draft", {"act": "drop"}),
            ("rule_create", {"outcome": "refuse", "place": 1, "amount_over": "9"}),
            ("rule_publish", {"day": ""}),
        ):
            response = owner.post(url(name, shop), {"revision": stale, **data})
            assert response.status_code in (302, 422)
        assert len(draft_of(shop).content["rules"]) == 2

    @pytest.mark.parametrize("role", [Role.MANAGER, Role.FINANCE, Role.CASHIER, Role.AUDITOR])
    def test_only_owners_write(self, client: Client, shop: Shop, role: str) -> None:
        client.force_login(shop[role])
        for name, args in (
            ("rule_draft", ()),
            ("rule_create", ()),
            ("rule_change", (1,)),
            ("rule_simulate", ()),
            ("rule_publish", ()),
        ):
            assert client.get(url(name, shop, *args)).status_code == 403
        assert client.post(url("rule_version", shop, 0)).status_code == 403


class TestPublishing:
    def test_at_once(self, owner: Client, shop: Shop, payment: Payment) -> None:
        add(owner, shop, amount_over="10", outcome="refuse")
        response = owner.post(url("rule_publish", shop), {"revision": revision_of(shop)})
        assert response["Location"] == url("rule_book", shop)
        assert ask(shop, payment, 1_001).state == RefundState.REJECTED
        page = owner.get(url("rule_book", shop))
        assert page.context["book"].number == 1
        assert len(page.context["history"]) == 1

    @pytest.mark.parametrize(
        ("day", "hour", "field"),
        [
            ("2020-01-01", "", "day"),
            ("1920-01-01", "", "day"),
            ("abc", "", "day"),
            ("", "10:00", "day"),
            ("2030-01-01", "x", "hour"),
        ],
    )
    def test_wrong_moments_are_named_where_they_stand(
        self, owner: Client, shop: Shop, day: str, hour: str, field: str
    ) -> None:
        add(owner, shop, amount_over="10", outcome="refuse")
        data = {"revision": revision_of(shop), "day": day, "hour": hour}
        response = owner.post(url("rule_publish", shop), data)
        assert response.status_code == 422
        assert list(response.context["form"].errors) == [field]
        with inside(shop):
            assert not RefundRuleBook.objects.exists()

    def test_from_a_day_on(self, owner: Client, shop: Shop) -> None:
        add(owner, shop, amount_over="10", outcome="refuse")
        day = (clock.now() + timedelta(days=3)).astimezone(clock.CHINA).date().isoformat()
        owner.post(
            url("rule_publish", shop), {"revision": revision_of(shop), "day": day, "hour": "08:30"}
        )
        with inside(shop):
            book = RefundRuleBook.objects.get()
        at = book.effective_at.astimezone(clock.CHINA)
        assert (at.date().isoformat(), at.hour, at.minute) == (day, 8, 30)
        page = owner.get(url("rule_book", shop))
        assert (page.context["book"].number, page.context["planned"].number) == (0, 1)

    def test_with_a_second_owner_it_waits(self, owner: Client, shop: Shop) -> None:
        second = make_user("second@tea.test")
        Membership.objects.create(merchant=shop.merchant, user=second, role=Role.OWNER)
        add(owner, shop, amount_over="10", outcome="refuse")
        owner.post(url("rule_publish", shop), {"revision": revision_of(shop)})
        draft = draft_of(shop)
        assert draft.state == "waiting"
        assert owner.get(url("rule_draft", shop)).context["waiting"]
        other = Client(HTTP_ACCEPT_LANGUAGE="en")
        other.force_login(second)
        page = other.get(reverse("approvals:approval_detail", args=[shop.slug, draft.approval_id]))
        assert "Over ¥10.00 at a time: refused." in page.content.decode()

    def test_going_back(self, owner: Client, shop: Shop) -> None:
        add(owner, shop, amount_over="10", outcome="refuse")
        owner.post(url("rule_publish", shop), {"revision": revision_of(shop)})
        assert owner.get(url("rule_version", shop, 1)).context["in_force"]
        owner.post(url("rule_version", shop, 0), {"revision": 0})
        owner.post(url("rule_publish", shop), {"revision": revision_of(shop)})
        with inside(shop):
            newest = RefundRuleBook.objects.order_by("-number")[0]
        assert newest.number == 2
        assert newest.content["rules"] == [{"when": {"total": {"over": 20_000}}, "outcome": "one"}]
        assert owner.get(url("rule_version", shop, 3)).status_code == 404


class TestSimulating:
    def test_shows_what_would_change_with_links(
        self, owner: Client, shop: Shop, payment: Payment
    ) -> None:
        passes, waits = ask(shop, payment, 1_000), ask(shop, payment, 30_000)
        add(owner, shop, amount_over="100", outcome="refuse")
        page = owner.get(url("rule_simulate", shop))
        (change,) = page.context["changes"]
        assert [refund.pk for refund in change["refunds"]] == [waits.pk]
        assert url("refund_detail", shop, waits.pk) in page.content.decode()
        assert url("refund_detail", shop, passes.pk) not in page.content.decode()
        assert [(row.today.count, row.draft.count) for row in page.context["rows"]] == [
            (1, 1),
            (1, 0),
            (0, 1),
        ]

    def test_without_a_draft_and_without_refunds(self, owner: Client, shop: Shop) -> None:
        page = owner.get(url("rule_simulate", shop))
        assert (page.status_code, page.context["changes"]) == (200, [])

    def test_a_rule_for_a_past_refund(self, owner: Client, shop: Shop, payment: Payment) -> None:
        refund = ask(shop, payment, 1_000)
        link = f"{url('rule_create', shop)}?refund={refund.pk}"
        assert link in owner.get(url("refund_detail", shop, refund.pk)).content.decode()
        form = owner.get(link).context["form"]
        data = {name: form[name].value() for name in form.fields}
        sent = {name: value for name, value in data.items() if value not in (None, "")}
        assert owner.post(url("rule_create", shop), sent).status_code == 302
        (change,) = owner.get(url("rule_simulate", shop)).context["changes"]
        assert [row.pk for row in change["refunds"]] == [refund.pk]
        assert owner.get(f"{url('rule_create', shop)}?refund=0").status_code == 404
        assert owner.get(f"{url('rule_create', shop)}?refund=x").status_code == 200


class TestAsking:
    def test_what_is_refused_says_so_before_anything_is_sent(
        self, owner: Client, shop: Shop, payment: Payment
    ) -> None:
        add(owner, shop, amount_over="10", outcome="refuse", reason=["quality"])
        owner.post(url("rule_publish", shop), {"revision": revision_of(shop)})
        page = f"{url('refund_create', shop, payment.pk)}?amount=20&reason_code=quality"
        says = owner.get(page, headers={"HX-Request": "true"}).content.decode()
        assert "for the reason “Something was wrong with it”: refused." in says
        form = {"amount": "20", "reason": "x", "reason_code": "quality"}
        response = owner.post(url("refund_create", shop, payment.pk), form)
        assert response.status_code == 422
        assert "refused" in str(response.context["form"].non_field_errors())
        with inside(shop):
            assert not RefundDecision.objects.exists()
        # Another kind of reason passes, and is kept.
        form["reason_code"] = "mistake"
        asked = owner.post(url("refund_create", shop, payment.pk), form).context["asked"]
        owner.post(url("refund_create", shop, payment.pk), {"asked": asked})
        with inside(shop):
            assert Refund.objects.get().reason_code == "mistake"

    def test_rules_changed_while_the_confirmation_was_open(
        self, owner: Client, shop: Shop, payment: Payment
    ) -> None:
        form = {"amount": "20", "reason": "x"}
        asked = owner.post(url("refund_create", shop, payment.pk), form).context["asked"]
        add(owner, shop, amount_over="10", outcome="refuse")
        owner.post(url("rule_publish", shop), {"revision": revision_of(shop)})
        response = owner.post(url("refund_create", shop, payment.pk), {"asked": asked})
        assert response.status_code == 422
        with inside(shop):
            assert not Refund.objects.exists()


MONEY = st.integers(0, 10**7)
FIELDS = st.fixed_dictionaries(
    {"outcome": st.sampled_from(["one", "refuse"])},
    optional={
        "total_over": MONEY.map(lambda minor: Money(minor).to_yuan()),
        "share_up_to": st.sampled_from(["100", "12.5", "0.01"]),
        "age_up_to": st.integers(1, 90).map(str),
        "age_unit": st.sampled_from(["minutes", "hours", "days"]),
        "asker_sum_over": MONEY.map(lambda minor: Money(minor).to_yuan()),
        "asker_days": st.sampled_from(["1", "7", "30"]),
        "store": st.lists(st.sampled_from(["5", "-"]), min_size=1, unique=True),
        "reason": st.lists(st.sampled_from(["quality", "other"]), min_size=1, unique=True),
    },
)


@given(FIELDS)
def test_what_the_form_keeps_it_shows_again(fields: dict[str, Any]) -> None:
    def read(data: dict[str, Any]) -> Any:
        given_in = {"revision": 0, "place": 1, **data}
        form = RuleForm(given_in, stores={"5": "x"}, places=1, initial={})
        assert form.is_valid(), form.errors
        return form.rule()

    rule = read(fields)
    refund_book({"rules": [rule], "otherwise": "at_once"})
    again = {
        name: value.strftime("%H:%M") if hasattr(value, "strftime") else value
        for name, value in initial_of(rule).items()
    }
    assert read(again) == rule
