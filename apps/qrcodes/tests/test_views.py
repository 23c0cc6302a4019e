"""The pages of codes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Role, Store
from apps.merchants.services import set_store_active
from apps.merchants.tests.teams import ACTOR, NOW, make_member, make_merchant, make_store
from apps.qrcodes.models import CodeState, QRCode, Scan
from apps.qrcodes.services import create_code, retire_code

pytestmark = pytest.mark.django_db


def _code(merchant: Merchant, store: Store, **changes: Any) -> QRCode:
    given: dict[str, Any] = {"kind": "table", "name": "桌号 12"}
    with enter_scope(Scope(merchant.pk)):
        return create_code(store_id=store.pk, **(given | changes), actor=ACTOR, now=NOW)


def _url(name: str, merchant: Merchant, *args: object) -> str:
    return reverse(f"qrcodes:{name}", args=[merchant.slug, *args])


def _state(merchant: Merchant, code: QRCode) -> str:
    with enter_scope(Scope(merchant.pk)):
        return str(QRCode.objects.get(pk=code.pk).state)


READING = ["code_detail", "code_image", "code_preview"]
MOVING = ["code_pause", "code_resume", "code_retire"]


def test_a_name_without_room_on_a_placard_is_refused_while_it_can_be_changed(
    client: Client,
) -> None:
    merchant, owner, store = make_merchant()
    client.force_login(owner)
    data = {"store": store.pk, "kind": "table", "pricing": "open"}
    for name, status in (("桌号" * 30, 422), ("桌🍵", 422), ("桌号 12", 302)):
        response = client.post(_url("code_create", merchant), {**data, "name": name})
        assert response.status_code == status, name
    with enter_scope(Scope(merchant.pk)):
        assert QRCode.objects.count() == 1


class TestAccess:
    @pytest.mark.parametrize("role", Role.values)
    def test_roles(self, client: Client, role: str) -> None:
        merchant, _, store = make_merchant()
        code = _code(merchant, store)
        client.force_login(make_member(merchant, role).user)
        writes = 200 if role in {Role.OWNER, Role.MANAGER} else 403
        assert client.get(_url("code_list", merchant)).status_code == 200
        assert client.get(_url("code_create", merchant)).status_code == writes
        for name in READING:
            assert client.get(_url(name, merchant, code.pk)).status_code == 200
        for name in MOVING:
            assert client.get(_url(name, merchant, code.pk)).status_code == writes

    def test_strangers_find_nothing(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        other, _, other_store = make_merchant()
        strange = _code(other, other_store)
        client.force_login(owner)
        assert client.get(_url("code_list", other)).status_code == 404
        for name in [*READING, *MOVING, "code_download"]:
            assert client.get(_url(name, merchant, strange.pk)).status_code == 404
        for name in MOVING:
            assert client.post(_url(name, merchant, strange.pk)).status_code == 404
        assert _state(other, strange) == CodeState.ACTIVE

    def test_store_limited_members_reach_their_stores_only(self, client: Client) -> None:
        merchant, _, store = make_merchant()
        mine = make_store(merchant, "五四广场店")
        theirs, own = _code(merchant, store, name="别处"), _code(merchant, mine, name="此处")
        client.force_login(make_member(merchant, Role.MANAGER, stores=[mine]).user)
        page = client.get(_url("code_list", merchant)).content.decode()
        assert "此处" in page
        assert "别处" not in page
        assert client.get(_url("code_detail", merchant, theirs.pk)).status_code == 404
        assert client.post(_url("code_pause", merchant, theirs.pk)).status_code == 404
        assert client.post(_url("code_pause", merchant, own.pk)).status_code == 302
        data = {"store": store.pk, "kind": "table", "name": "x", "pricing": "open"}
        assert client.post(_url("code_create", merchant), data).status_code == 422


class TestCodeList:
    def test_is_empty_with_a_next_step(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        page = client.get(_url("code_list", merchant)).content.decode()
        assert page.count(_url("code_create", merchant)) == 1

    def test_filters_and_fragment(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        kept = _code(merchant, store, name="吧台")
        gone = _code(merchant, store, name="旧桌")
        with enter_scope(Scope(merchant.pk)):
            retire_code(code_id=gone.pk, actor=ACTOR, now=NOW)
        client.force_login(owner)

        def names(query: str) -> list[str]:
            response = client.get(f"{_url('code_list', merchant)}?{query}")
            assert response.status_code == 200
            return [row.code.scenario.name for row in response.context["page"].rows]

        assert names("") == ["吧台"]
        assert names("state=all") == ["旧桌", "吧台"]
        assert names("state=retired") == ["旧桌"]
        assert names(f"q={kept.token}") == ["吧台"]
        assert names("kind=event") == []
        # What no form offers is left out rather than answered with an error.
        assert names("store=99&state=odd") == ["吧台"]
        # A place in the list that is none is a broken link.
        assert client.get(f"{_url('code_list', merchant)}?after=x").status_code == 400
        fragment = client.get(_url("code_list", merchant), headers={"HX-Request": "true"})
        assert fragment.content.decode().lstrip().startswith('<div id="codes">')
        chips = client.get(f"{_url('code_list', merchant)}?state=retired").context["chips"]
        assert [chip["remove_url"] for chip in chips] == ["?"]

    def test_costs_the_same_for_many(
        self, client: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        merchant, owner, store = make_merchant()
        for number in range(6):
            code = _code(merchant, store, name=f"桌号 {number}")
            with enter_scope(Scope(merchant.pk)):
                Scan.objects.create(code_id=code.pk, store_id=code.store_id, at=NOW)
        client.force_login(owner)
        # Session, user, membership, scope in and out, stores, folders, labels, codes, scans, alerts; the frame: what waits, memberships.
        with django_assert_num_queries(13):
            client.get(_url("code_list", merchant))


class TestCodeCreate:
    def test_fixed_amount_and_period_in_china_time(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        client.force_login(owner)
        data = {
            "store": store.pk,
            "kind": "event",
            "name": "夜市",
            "name_en": "Night market",
            "pricing": "fixed",
            "amount": "¥1,280.5",
            "valid_from": "2026-12-01T18:00",
            "valid_until": "2026-12-02T02:00",
        }
        response = client.post(_url("code_create", merchant), data)
        with enter_scope(Scope(merchant.pk)):
            code = QRCode.objects.get()
        assert response.headers["Location"] == _url("code_detail", merchant, code.pk)
        assert code.amount_minor == 128_050
        assert code.valid_from is not None
        assert code.valid_from.isoformat() == "2026-12-01T10:00:00+00:00"

    @pytest.mark.parametrize("amount", ["", "0", "0.001", "-5", "1000000000000", "abc"])
    def test_wrong_amounts_stand_at_the_field(self, client: Client, amount: str) -> None:
        merchant, owner, store = make_merchant()
        client.force_login(owner)
        data = {
            "store": store.pk,
            "kind": "counter",
            "name": "吧台",
            "pricing": "fixed",
            "amount": amount,
        }
        response = client.post(_url("code_create", merchant), data)
        assert response.status_code == 422
        assert list(response.context["form"].errors) == ["amount"]
        with enter_scope(Scope(merchant.pk)):
            assert not QRCode.objects.exists()

    def test_an_open_amount_ignores_what_was_typed(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        client.force_login(owner)
        data = {
            "store": store.pk,
            "kind": "counter",
            "name": "吧台",
            "pricing": "open",
            "amount": "-1",
        }
        assert client.post(_url("code_create", merchant), data).status_code == 302
        with enter_scope(Scope(merchant.pk)):
            assert QRCode.objects.get().amount_minor is None

    def test_the_end_comes_after_the_beginning(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        client.force_login(owner)
        data = {
            "store": store.pk,
            "kind": "counter",
            "name": "吧台",
            "pricing": "open",
            "valid_from": "2026-12-02T00:00",
            "valid_until": "2026-12-01T00:00",
        }
        response = client.post(_url("code_create", merchant), data)
        assert list(response.context["form"].errors) == ["valid_until"]


class TestCodeDetail:
    def test_shows_link_history_and_a_closed_store(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        make_store(merchant)
        code = _code(merchant, store, amount=None)
        with enter_scope(Scope(merchant.pk)):
            set_store_active(store_id=store.pk, active=False, actor=ACTOR, now=NOW)
        client.force_login(owner)
        response = client.get(_url("code_detail", merchant, code.pk))
        page = response.content.decode()
        assert f"http://localhost:8000/q/{code.token}" in page
        assert response.context["store_closed"]
        assert len(response.context["history"]) == 1

    def test_each_file_has_its_type_and_name(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store, name="桌/12")
        client.force_login(owner)
        starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf-a6": b"%PDF", "pdf-a4": b"%PDF"}
        for file, start in starts.items():
            for language in ("zh-hans", "en", "both"):
                response = client.get(
                    _url("code_download", merchant, code.pk), {"file": file, "language": language}
                )
                assert response.content.startswith(start)
                stem = quote(f"中山路店-桌-12-{code.token}-{language}")
                assert stem in response.headers["Content-Disposition"]
        assert client.get(_url("code_download", merchant, code.pk)).status_code == 404
        unknown = {"file": "exe", "language": "both"}
        assert client.get(_url("code_download", merchant, code.pk), unknown).status_code == 404

    @pytest.mark.parametrize("name", ["桌 🍜", "长" * 60])
    def test_what_cannot_be_printed_is_said(self, client: Client, name: str) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store, name=name)
        client.force_login(owner)
        detail = _url("code_detail", merchant, code.pk)
        wanted = {"file": "pdf-a6", "language": "both"}
        response = client.get(_url("code_download", merchant, code.pk), wanted)
        assert response.headers["Location"] == detail
        assert response.status_code == 302
        assert client.get(detail).status_code == 200
        assert client.get(_url("code_preview", merchant, code.pk)).status_code == 200


class TestMoving:
    def test_each_step_is_confirmed_and_retired_is_final(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        client.force_login(owner)
        detail = _url("code_detail", merchant, code.pk)
        for name, state in [
            ("code_pause", CodeState.PAUSED),
            ("code_resume", CodeState.ACTIVE),
            ("code_retire", CodeState.RETIRED),
            ("code_resume", CodeState.RETIRED),
        ]:
            before = _state(merchant, code)
            client.get(_url(name, merchant, code.pk))
            assert _state(merchant, code) == before
            response = client.post(_url(name, merchant, code.pk))
            assert response.headers["Location"] == detail
            assert _state(merchant, code) == state
        page = client.get(detail).content.decode()
        assert _url("code_resume", merchant, code.pk) not in page
