"""The pages that make a code and change what it says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.core import clock
from apps.core.clock import CHINA
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Role, Store
from apps.merchants.tests.teams import ACTOR, NOW, make_member, make_merchant, make_store
from apps.qrcodes.models import CodeVersion, QRCode, ScenarioKind, ScenarioTemplate
from apps.qrcodes.selectors import version_in_force
from apps.qrcodes.services import create_code, retire_code
from apps.qrcodes.terms import terms_of

pytestmark = pytest.mark.django_db


def _url(name: str, merchant: Merchant, *args: object) -> str:
    return reverse(f"qrcodes:{name}", args=[merchant.slug, *args])


def _code(merchant: Merchant, store: Store, **changes: Any) -> QRCode:
    given: dict[str, Any] = {"kind": "table", "name": "桌号 12"}
    with enter_scope(Scope(merchant.pk)):
        return create_code(store_id=store.pk, **(given | changes), actor=ACTOR, now=NOW)


def _version(merchant: Merchant, code: QRCode) -> CodeVersion:
    with enter_scope(Scope(merchant.pk)):
        return version_in_force(code_id=code.pk, now=clock.now())


def _errors(response: Any) -> dict[str, list[str]]:
    return {field: list(errors) for field, errors in response.context["form"].errors.items()}


@pytest.fixture
def english(client: Client) -> Client:
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    return client


class TestCreate:
    @pytest.mark.parametrize("kind", ScenarioKind.values)
    def test_every_kind_is_made_with_its_own_beginning(self, english: Client, kind: str) -> None:
        merchant, owner, store = make_merchant()
        english.force_login(owner)
        page = english.get(_url("code_create", merchant), {"kind": kind})
        form = page.context["form"]
        data = {field.html_name: field.value() or "" for field in form if field.name != "wallets"}
        data |= {"kind": kind, "name": "桌号 7", "amount": "9.90" if kind == "product" else ""}
        data |= {field.html_name: f"Answer {number}" for number, field in enumerate(form.asked)}
        response = english.post(_url("code_create", merchant), data)
        assert response.status_code == 302, _errors(response)
        with enter_scope(Scope(merchant.pk)):
            version = CodeVersion.objects.select_related("code__scenario").get()
        assert version.code.scenario.kind == kind
        assert version.store_id == store.pk
        assert len(version.details) == len(form.asked)
        pricing = {"product": "fixed", "donation": "list"}.get(kind, "open")
        assert (version.pricing, len(version.choices)) == (pricing, 4 if kind == "donation" else 0)

    def test_all_terms_come_through_the_form(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        english.force_login(owner)
        data = {
            "kind": "table",
            "store": store.pk,
            "name": "桌号 7",
            "name_en": "Table 7",
            "asked_number": "7",
            "asked_area": "露台",
            "pricing": "list",
            "choices": "小杯 12\n大杯 ¥18.50\n\n20",
            "note_mode": "required",
            "note_label": "订单号",
            "hours_0": "11:00-14:00, 17:00-02:00",
            "hours_5": "10:00-23:00",
            "least_minor": "1",
            "most_minor": "500",
            "day_limit_minor": "2,000",
            "day_limit_count": "40",
            "total_limit_minor": "100000",
            "total_limit_count": "4000",
            "language": "en",
            "wallets": ["wechatpay", "alipay"],
            "valid_until": "2031-01-01T00:00",
        }
        response = english.post(_url("code_create", merchant), data)
        assert response.status_code == 302, _errors(response)
        with enter_scope(Scope(merchant.pk)):
            terms = terms_of(CodeVersion.objects.get())
        assert terms.details == {"number": "7", "area": "露台"}
        assert [(one.name, one.minor) for one in terms.choices] == [
            ("小杯", 1_200),
            ("大杯", 1_850),
            ("¥20.00", 2_000),
        ]
        assert terms.hours[:2] == (((660, 840), (1020, 1440)), ((0, 120),))
        assert terms.wallets == ("alipay", "wechatpay")
        limits = (terms.least_minor, terms.most_minor, terms.day_limit_minor)
        assert limits == (100, 50_000, 200_000)
        assert terms.valid_until is not None
        assert terms.valid_until.astimezone(CHINA).isoformat() == "2031-01-01T00:00:00+08:00"
        # What the change form shows is what it stores again.
        code_id = QRCode.objects
        with enter_scope(Scope(merchant.pk)):
            code = code_id.get()
        page = english.get(_url("code_change", merchant, code.pk))
        shown = {field.html_name: field.value() for field in page.context["form"]}
        again = {name: value for name, value in shown.items() if value not in (None, "")}
        again["valid_until"] = "2031-01-01T00:00"
        same = english.post(_url("code_change", merchant, code.pk), again)
        assert same.status_code == 302, _errors(same)
        with enter_scope(Scope(merchant.pk)):
            assert CodeVersion.objects.count() == 1

    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            ({"name": ""}, "name", "required"),
            ({"name": "x" * 300}, "name", "60"),
            ({"name": "桌🍵"}, "name", "🍵"),
            ({"name": "‮桌号"}, "name", None),
            ({"pricing": "fixed", "amount": ""}, "amount", "Enter the amount"),
            ({"pricing": "fixed", "amount": "0"}, "amount", "0.01"),
            ({"pricing": "fixed", "amount": "-3"}, "amount", "negative"),
            ({"pricing": "fixed", "amount": "1.005"}, "amount", "two decimals"),
            ({"pricing": "list", "choices": ""}, "choices", "at least one price"),
            ({"pricing": "list", "choices": "Cup 5\nMug"}, "choices", "Line 2"),
            ({"pricing": "list", "choices": "Cup 5\nCup 6"}, "choices", "same name"),
            ({"pricing": "list", "choices": "1\n" * 13}, "choices", "12"),
            ({"hours_2": "nine"}, "hours_2", "09:00-21:00"),
            ({"hours_0": "18:00-02:00", "hours_1": "01:00-05:00"}, "hours_0", "night"),
            ({"least_minor": "0"}, "least_minor", "0.01"),
            ({"least_minor": "9", "most_minor": "8"}, "most_minor", "no room"),
            ({"day_limit_count": "many"}, "day_limit_count", "number"),
            ({"wallets": ["purse"]}, "wallets", "purse"),
            ({"valid_until": "2020-01-01T00:00"}, "valid_until", "past"),
            (
                {"valid_from": "2031-02-01T00:00", "valid_until": "2031-01-01T00:00"},
                "valid_until",
                "after",
            ),
        ],
    )
    def test_mistakes_stand_at_their_field_and_make_nothing(
        self, english: Client, changes: dict[str, Any], field: str, words: str | None
    ) -> None:
        merchant, owner, store = make_merchant()
        english.force_login(owner)
        data = {"kind": "table", "store": store.pk, "name": "桌号 7", "pricing": "open"}
        response = english.post(_url("code_create", merchant), data | changes)
        if words is None:
            # A mark that turns the writing around is taken out, as what stands on one line is read.
            assert response.status_code == 302
            with enter_scope(Scope(merchant.pk)):
                assert CodeVersion.objects.get().name == "桌号"
            return
        assert response.status_code == 422
        assert words in " ".join(_errors(response)[field])
        assert "桌号 7" in response.content.decode() or "name" in changes
        with enter_scope(Scope(merchant.pk)):
            assert not QRCode.objects.exists()

    def test_a_copy_begins_with_the_same_terms_and_has_its_own_link(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        english.force_login(owner)
        page = english.get(_url("code_create", merchant), {"copy": code.pk})
        form = page.context["form"]
        assert form["name"].value() == "桌号 12"
        data = {"copy": code.pk, "kind": "table", "store": store.pk, "name": "桌号 13"}
        response = english.post(_url("code_create", merchant), data | {"pricing": "open"})
        assert response.status_code == 302, _errors(response)
        with enter_scope(Scope(merchant.pk)):
            tokens = set(QRCode.objects.values_list("token", flat=True))
        assert len(tokens) == 2

    @pytest.mark.parametrize("query", ["copy=99999", "copy=x", "template=7", "template=٣"])
    def test_what_is_not_there_is_not_found(self, client: Client, query: str) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        assert client.get(f"{_url('code_create', merchant)}?{query}").status_code == 404


class TestChange:
    def _data(self, code: QRCode, **changes: Any) -> dict[str, Any]:
        return {
            "store": code.store_id,
            "name": "桌号 12",
            "pricing": "open",
            "note_mode": "optional",
            "when": "now",
            "expected": 1,
        } | changes

    def test_now_and_planned_and_withdrawn(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        english.force_login(owner)
        change = _url("code_change", merchant, code.pk)
        detail = _url("code_detail", merchant, code.pk)
        data = self._data(code, pricing="fixed", amount="8", reason="Summer prices")
        assert english.post(change, data).headers["Location"] == detail
        assert _version(merchant, code).amount_minor == 800
        later = clock.now() + timedelta(days=2)
        planned = self._data(
            code,
            pricing="fixed",
            amount="9",
            expected=2,
            when="later",
            starts_at=later.astimezone(CHINA).strftime("%Y-%m-%dT%H:%M"),
        )
        assert english.post(change, planned).headers["Location"] == detail
        assert _version(merchant, code).amount_minor == 800
        shown = english.get(detail).content.decode()
        assert "¥9.00" in shown
        history = english.get(_url("code_versions", merchant, code.pk)).content.decode()
        assert "Summer prices" in history
        withdraw = _url("code_withdraw", merchant, code.pk, 3)
        assert "¥9.00" in english.get(withdraw).content.decode()
        assert english.post(withdraw).headers["Location"] == detail
        assert "¥9.00" not in english.get(detail).content.decode()

    def test_who_was_overtaken_sees_what_changed_and_may_send_it_again(
        self, english: Client
    ) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        english.force_login(owner)
        change = _url("code_change", merchant, code.pk)
        english.post(change, self._data(code, name="桌号 13"))
        response = english.post(change, self._data(code, name="桌号 14"))
        assert response.status_code == 422
        page = response.content.decode()
        assert [change.after for change in response.context["meanwhile_changes"]] == [("桌号 13",)]
        assert 'value="桌号 14"' in page
        assert _version(merchant, code).name == "桌号 13"
        english.post(change, self._data(code, name="桌号 14", expected=2))
        assert _version(merchant, code).name == "桌号 14"

    def test_a_change_for_later_needs_a_time_to_come(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        english.force_login(owner)
        for starts_at in ("", "2020-01-01T00:00", "soon"):
            data = self._data(code, name="桌号 13", when="later", starts_at=starts_at)
            response = english.post(_url("code_change", merchant, code.pk), data)
            assert response.status_code == 422
            assert "starts_at" in _errors(response)
        with enter_scope(Scope(merchant.pk)):
            assert CodeVersion.objects.count() == 1

    def test_a_retired_code_is_not_changed(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        with enter_scope(Scope(merchant.pk)):
            retire_code(code_id=code.pk, actor=ACTOR, now=NOW)
        english.force_login(owner)
        assert english.get(_url("code_change", merchant, code.pk)).status_code == 302

    @pytest.mark.parametrize("role", Role.values)
    def test_roles_and_strangers(self, client: Client, role: str) -> None:
        merchant, _, store = make_merchant()
        code = _code(merchant, store)
        other, _, other_store = make_merchant()
        strange = _code(other, other_store)
        client.force_login(make_member(merchant, role).user)
        writes = 200 if role in {Role.OWNER, Role.MANAGER} else 403
        assert client.get(_url("code_change", merchant, code.pk)).status_code == writes
        assert client.get(_url("code_versions", merchant, code.pk)).status_code == 200
        for name in ("code_change", "code_versions"):
            expected = 404 if name == "code_versions" or writes == 200 else 403
            assert client.get(_url(name, merchant, strange.pk)).status_code == expected

    def test_a_member_of_one_store_cannot_move_a_code_to_another(self, english: Client) -> None:
        merchant, _, store = make_merchant()
        other = make_store(merchant)
        code = _code(merchant, store)
        english.force_login(make_member(merchant, Role.MANAGER, stores=[store]).user)
        data = self._data(code, store=other.pk)
        response = english.post(_url("code_change", merchant, code.pk), data)
        assert response.status_code == 422
        assert _version(merchant, code).store_id == store.pk

    def test_why_it_was_stopped_is_kept_for_members(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        english.force_login(owner)
        english.post(_url("code_pause", merchant, code.pk), {"reason": "Sticker <pasted> over"})
        page = english.get(_url("code_detail", merchant, code.pk)).content.decode()
        assert "Sticker &lt;pasted&gt; over" in page


class TestTemplates:
    def test_one_made_from_a_code_begins_new_codes_with_its_terms(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        english.force_login(owner)
        english.post(
            _url("code_change", merchant, code.pk),
            {
                "store": store.pk,
                "name": "桌号 12",
                "pricing": "open",
                "note_mode": "none",
                "most_minor": "300",
                "hours_0": "10:00-12:00",
                "when": "now",
                "expected": 1,
            },
        )
        data = {
            "like": code.pk,
            "name": "包间",
            "name_en": "Private room",
            "kind": "table",
            "questions": "楼层 / Floor\n房间",
        }
        assert english.post(_url("template_create", merchant), data).status_code == 302
        with enter_scope(Scope(merchant.pk)):
            template = ScenarioTemplate.objects.get()
        page = english.get(_url("code_create", merchant), {"template": template.pk})
        form = page.context["form"]
        assert form["most_minor"].value() == "300.00"
        assert form["hours_0"].value() == "10:00-12:00"
        assert form["name"].value() == ""
        assert [field.label for field in form.asked] == ["Floor", "房间"]
        made = english.post(
            _url("code_create", merchant),
            {
                "template": template.pk,
                "store": store.pk,
                "name": "包间 1",
                "pricing": "open",
                form.asked[0].html_name: "3",
            },
        )
        assert made.status_code == 302, _errors(made)
        with enter_scope(Scope(merchant.pk)):
            newest = CodeVersion.objects.order_by("-pk")[0]
            assert newest.details == {"楼层": "3"}
            assert newest.code.scenario.template_id == template.pk

    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            ({"name": ""}, "name", "required"),
            ({"kind": "roof"}, "kind", "roof"),
            ({"questions": "\n".join("abcdefg")}, "questions", "too many"),
            ({"questions": "x" * 31}, "questions", "Line 1"),
            ({"questions": "楼层\n楼层"}, "questions", "asked already"),
            ({"name": "包间"}, "name", "Another template"),
        ],
    )
    def test_mistakes_stand_at_their_field(
        self, english: Client, changes: dict[str, Any], field: str, words: str
    ) -> None:
        merchant, owner, _ = make_merchant()
        english.force_login(owner)
        data = {"name": "包间", "kind": "custom"}
        english.post(_url("template_create", merchant), data)
        response = english.post(
            _url("template_create", merchant), {"name": "外摆", "kind": "custom"} | changes
        )
        assert response.status_code == 422
        assert words in " ".join(_errors(response)[field])
        with enter_scope(Scope(merchant.pk)):
            assert ScenarioTemplate.objects.count() == 1

    def test_one_that_is_switched_off_is_offered_no_more(self, english: Client) -> None:
        merchant, owner, _ = make_merchant()
        english.force_login(owner)
        english.post(_url("template_create", merchant), {"name": "包间", "kind": "custom"})
        with enter_scope(Scope(merchant.pk)):
            pk = ScenarioTemplate.objects.get().pk
        assert "包间" in english.get(_url("code_create", merchant)).content.decode()
        english.post(_url("template_switch", merchant, pk))
        assert "包间" not in english.get(_url("code_create", merchant)).content.decode()
        english.post(_url("template_switch", merchant, pk), {"on": "1"})
        assert "包间" in english.get(_url("code_create", merchant)).content.decode()
