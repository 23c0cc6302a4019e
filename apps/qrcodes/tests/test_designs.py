"""Designs that are kept, the pages around them, and the studio of a code."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pypdf import PdfReader

from apps.core.models import AuditEvent
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Role, Store
from apps.merchants.tests.teams import ACTOR, NOW, make_member, make_merchant
from apps.qrcodes.artwork import FORMATS, PLAIN, Design, DesignRefused
from apps.qrcodes.models import ArtworkDesign, QRCode
from apps.qrcodes.selectors import default_look, link_of, list_designs, look_of
from apps.qrcodes.services import (
    change_design,
    create_code,
    create_design,
    delete_design,
    make_default,
)
from apps.qrcodes.services.designs import MOST_DESIGNS
from apps.qrcodes.tests.artwork_judge import decode, needs_pdftoppm, open_png, rasterise_pdf
from apps.qrcodes.tests.artwork_logos import BAD_LOGOS, picture, red_logo

pytestmark = pytest.mark.django_db

LOOK: dict[str, str] = {
    "level": "H",
    "shape": "rounded",
    "foreground": "#5a0f14",
    "background": "#fff4e0",
    "accent": "#c4151b",
    "logo_percent": "20",
    "language": "both",
    "wallet_marks": "on",
}
WITH_LOGO = Design(level="H", logo=red_logo(), accent="#C4151B")


def _keep(name: str = "露台", design: Design = PLAIN, **more: Any) -> ArtworkDesign:
    return create_design(name=name, design=design, actor=ACTOR, now=NOW, **more)


def _url(name: str, merchant: Merchant, *args: object) -> str:
    return reverse(f"qrcodes:{name}", args=[merchant.slug, *args])


def _code(merchant: Merchant, store: Store, **changes: Any) -> QRCode:
    facts: dict[str, Any] = {"kind": "table", "name": "桌号 12"} | changes
    with enter_scope(Scope(merchant.pk)):
        return create_code(store_id=store.pk, **facts, actor=ACTOR, now=NOW)


class TestServices:
    def test_a_design_comes_back_as_it_was_kept(self) -> None:
        merchant, _, _ = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            row = _keep(design=WITH_LOGO)
            assert look_of(ArtworkDesign.objects.get(pk=row.pk)) == WITH_LOGO
            event = AuditEvent.objects.get(action="design.created")
            assert event.data["has_logo"] is True
            assert "logo" not in event.data

    def test_the_first_is_the_default_and_there_is_only_one(self) -> None:
        merchant, _, _ = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            assert default_look() == PLAIN
            first, second = _keep("A", WITH_LOGO), _keep("B")
            assert default_look() == WITH_LOGO
            make_default(design_id=second.pk, actor=ACTOR, now=NOW)
            make_default(design_id=second.pk, actor=ACTOR, now=NOW)
            assert [(row.name, row.is_default) for row in list_designs()] == [
                ("B", True),
                ("A", False),
            ]
            assert AuditEvent.objects.filter(action="design.default").count() == 2
            with pytest.raises(IntegrityError), transaction.atomic():
                ArtworkDesign.objects.filter(pk=first.pk).update(is_default=True)
            delete_design(design_id=second.pk, actor=ACTOR, now=NOW)
            assert default_look() == PLAIN

    def test_refusals_change_nothing(self) -> None:
        merchant, _, _ = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            row, other = _keep("A"), _keep("B")
            with pytest.raises(DesignRefused, match="name_taken"):
                _keep("A")
            with pytest.raises(DesignRefused, match="name_taken"):
                change_design(design_id=other.pk, name="A", design=PLAIN, actor=ACTOR, now=NOW)
            with pytest.raises(DesignRefused, match="logo_too_large"):
                _keep("C", Design(level="Q", logo=red_logo(), logo_percent=30))
            assert [one.name for one in list_designs()] == ["A", "B"]
            with pytest.raises(ArtworkDesign.DoesNotExist):
                delete_design(design_id=row.pk + 99, actor=ACTOR, now=NOW)

    def test_a_bounded_number_of_them(self) -> None:
        merchant, _, _ = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            for number in range(MOST_DESIGNS):
                _keep(f"{number}")
            with pytest.raises(DesignRefused, match="too_many"):
                _keep("one more")

    def test_the_table_bounds_a_logo(self) -> None:
        merchant, _, _ = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            row = _keep(design=WITH_LOGO)
            with (
                pytest.raises(DatabaseError, match="qrcodes_design_logo_size"),
                transaction.atomic(),
            ):
                ArtworkDesign.objects.filter(pk=row.pk).update(logo=b"x" * 262_145)
            with pytest.raises(DatabaseError, match="logo_level"), transaction.atomic():
                ArtworkDesign.objects.filter(pk=row.pk).update(level="M")


class TestDesignPages:
    def _post(self, client: Client, merchant: Merchant, **changes: Any) -> Any:
        data = {"name": "露台", **LOOK, **changes}
        data = {key: value for key, value in data.items() if value is not None}
        return client.post(_url("design_create", merchant), data)

    def _rows(self, merchant: Merchant) -> list[ArtworkDesign]:
        with enter_scope(Scope(merchant.pk)):
            return list(ArtworkDesign.objects.order_by("pk"))

    @pytest.mark.parametrize("role", Role.values)
    def test_roles(self, client: Client, role: str) -> None:
        merchant, _, _ = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            row = _keep()
        client.force_login(make_member(merchant, role).user)
        writes = 200 if role in {Role.OWNER, Role.MANAGER} else 403
        assert client.get(_url("design_list", merchant)).status_code == 200
        assert client.get(_url("design_image", merchant, row.pk)).status_code == 200
        assert client.get(_url("design_create", merchant)).status_code == writes
        for name in ("design_change", "design_delete"):
            assert client.get(_url(name, merchant, row.pk)).status_code == writes
        answer = client.post(_url("design_default", merchant, row.pk))
        assert answer.status_code == (302 if writes == 200 else 403)

    def test_saving_with_a_logo_changing_and_deleting(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        file = SimpleUploadedFile("logo.png", picture(mode="RGBA"), "image/png")
        assert self._post(client, merchant, logo=file).status_code == 302
        (row,) = self._rows(merchant)
        assert (row.level, row.foreground, row.is_default) == ("H", "#5A0F14", True)
        assert row.logo is not None
        change = _url("design_change", merchant, row.pk)
        assert client.post(change, {"name": "B", **LOOK, "level": "Q"}).status_code == 302
        (row,) = self._rows(merchant)
        assert (row.name, row.logo is not None) == ("B", True)
        assert client.post(change, {"name": "B", **LOOK, "logo_remove": "on"}).status_code == 302
        assert self._rows(merchant)[0].logo is None
        assert client.post(_url("design_delete", merchant, row.pk)).status_code == 302
        assert self._rows(merchant) == []

    @pytest.mark.parametrize("name", BAD_LOGOS)
    def test_bad_logos_are_explained_at_their_field(self, client: Client, name: str) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        _key, data = BAD_LOGOS[name]
        response = self._post(client, merchant, logo=SimpleUploadedFile("logo.png", data))
        assert response.status_code == 422
        assert list(response.context["form"].errors) == ["logo"]
        (sentence,) = response.context["form"].errors["logo"]
        assert len(sentence) > 5
        assert 'value="露台"' in response.content.decode()
        assert self._rows(merchant) == []

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"foreground": "#ffffff", "background": "#000000"}, "foreground"),
            ({"foreground": "#ffee00"}, "foreground"),
            ({"foreground": "red"}, "foreground"),
            ({"accent": "#1234567"}, "accent"),
            ({"level": "X"}, "level"),
            ({"name": ""}, "name"),
            ({"name": "x" * 61}, "name"),
            ({"logo_percent": "90"}, "logo_percent"),
            ({"logo_percent": "x"}, "logo_percent"),
            ({"shape": None}, "shape"),
            ({"logo_kept": "%%%"}, "logo_kept"),
            ({"logo_kept": base64.b64encode(b"<svg>").decode()}, "logo_kept"),
        ],
    )
    def test_choices_that_do_not_go_together(
        self, client: Client, changes: dict[str, Any], field: str
    ) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        response = self._post(client, merchant, **changes)
        assert response.status_code == 422
        assert field in response.context["form"].errors
        assert self._rows(merchant) == []

    def test_a_logo_wants_a_strong_level_and_room(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        for changes, field in (({"level": "M"}, "level"), ({"logo_percent": "30"}, "logo_percent")):
            file = SimpleUploadedFile("logo.png", picture(), "image/png")
            response = self._post(client, merchant, logo=file, **changes)
            assert list(response.context["form"].errors) == [field]

    def test_a_taken_name(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        assert self._post(client, merchant).status_code == 302
        response = self._post(client, merchant)
        assert response.status_code == 422
        assert list(response.context["form"].errors) == ["name"]

    def test_show_draws_and_keeps_the_logo_for_the_next_answer(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        file = SimpleUploadedFile("logo.png", picture(mode="RGBA"), "image/png")
        response = self._post(client, merchant, logo=file, name="", show="1")
        page = response.content.decode()
        assert response.status_code == 200
        assert "data:image/svg+xml;base64," in page
        match = re.search(r'name="logo_kept" value="([^"]+)"', page)
        assert match is not None
        assert self._rows(merchant) == []
        assert self._post(client, merchant, logo_kept=match[1]).status_code == 302
        assert self._rows(merchant)[0].logo is not None

    def test_htmx_gets_the_picture_alone(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        url = _url("design_create", merchant)
        response = client.post(url, {**LOOK, "show": "1"}, headers={"hx-request": "true"})
        assert response.content.decode().lstrip().startswith('<div id="design-preview"')
        bad = client.post(
            url, {**LOOK, "foreground": "#e8c070", "show": "1"}, headers={"hx-request": "true"}
        )
        assert bad.status_code == 422
        assert "55" in bad.content.decode()

    def test_a_body_that_is_too_long_is_not_read(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        response = client.post(
            _url("design_create", merchant),
            {"name": "A", **LOOK, "logo": SimpleUploadedFile("x.png", b"\0" * 6_000_000)},
        )
        assert response.status_code == 422
        assert list(response.context["form"].errors) == ["logo"]

    def test_csrf_is_still_asked_for(self) -> None:
        merchant, owner, _ = make_merchant()
        client = Client(enforce_csrf_checks=True)
        client.force_login(owner)
        assert self._post(client, merchant).status_code == 403

    def test_hostile_names_are_text(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)
        self._post(client, merchant, name="<script>alert(1)</script>")
        page = client.get(_url("design_list", merchant)).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page

    def test_the_list_reads_no_logos_and_stays_cheap(self, client: Client) -> None:
        merchant, owner, _ = make_merchant()
        client.force_login(owner)

        def statements() -> list[str]:
            with CaptureQueriesContext(connection) as caught:
                client.get(_url("design_list", merchant))
            return [one["sql"] for one in caught.captured_queries]

        with enter_scope(Scope(merchant.pk)):
            _keep("A", WITH_LOGO)
        statements()
        few = statements()
        with enter_scope(Scope(merchant.pk)):
            for number in range(5):
                _keep(f"{number}", WITH_LOGO)
        assert len(statements()) == len(few)
        assert not any('artworkdesign"."logo",' in one for one in few)


class TestStudio:
    def test_it_begins_with_the_default_and_takes_another(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        with enter_scope(Scope(merchant.pk)):
            first = _keep("A", WITH_LOGO)
            second = _keep("B", Design(shape="rounded"))
        client.force_login(owner)
        url = _url("code_studio", merchant, code.pk)
        assert client.get(url).context["look"] == WITH_LOGO
        assert client.get(url, {"design": second.pk}).context["look"] == Design(shape="rounded")
        assert client.get(url, {"design": ""}).context["look"] == PLAIN
        changed = client.get(url, {"design": str(first.pk), **LOOK}).context["look"]
        assert (changed.shape, changed.logo) == ("rounded", None)
        with_logo = client.get(url, {"design": str(first.pk), **LOOK, "with_logo": "on"}).context[
            "look"
        ]
        assert with_logo.logo == WITH_LOGO.logo

    @pytest.mark.parametrize(
        "wrong",
        [
            {"foreground": "#ffffff", "background": "#000000"},
            {"format": "A0"},
            {"width_mm": "3"},
            {"dpi": "77"},
            {"level": "Z"},
            {"language": "xx"},
        ],
    )
    def test_what_does_not_go_together_is_said(self, client: Client, wrong: dict[str, str]) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        client.force_login(owner)
        response = client.get(_url("code_studio", merchant, code.pk), {**LOOK, **wrong})
        assert response.status_code == 422
        assert set(response.context["form"].errors) <= set(wrong)

    def test_measures_of_every_format_are_shown(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        client.force_login(owner)
        response = client.get(_url("code_studio", merchant, code.pk))
        sheets = response.context["sheets"]
        assert [one.key for one in sheets] == list(FORMATS)
        assert all(one.module_mm >= 0.4 and not one.problem for one in sheets)

    @needs_pdftoppm
    @pytest.mark.parametrize("file", [*FORMATS, "png", "svg"])
    def test_files(self, client: Client, file: str, tmp_path: Any) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        with enter_scope(Scope(merchant.pk)):
            _keep("A", WITH_LOGO)
            link = link_of(code)
        client.force_login(owner)
        query = client.get(_url("code_studio", merchant, code.pk)).context["query"]
        response = client.get(f"{_url('code_print', merchant, code.pk)}?{query}&file={file}")
        assert response.status_code == 200
        assert response["Cache-Control"] == "private, no-store"
        assert "attachment" in response["Content-Disposition"]
        if file == "svg":
            assert b"<image" in response.content
        elif file == "png":
            assert decode(open_png(response.content)) == [link]
        else:
            (page,) = rasterise_pdf(response.content, tmp_path, dpi=200)
            assert set(decode(page)) == {link}
            assert len(PdfReader(io.BytesIO(response.content)).pages) == 1

    def test_what_cannot_be_printed_leads_back_with_the_reason(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        client.force_login(owner)
        url = _url("code_print", merchant, code.pk)
        tiny = client.get(url, {**LOOK, "width_mm": "15", "dpi": "150", "file": "png"}, follow=True)
        (said,) = tiny.context["messages"]
        assert re.search(r"\d+ (mm|毫米)", str(said))
        bad = client.get(url, {**LOOK, "foreground": "#ffffff", "file": "A6"}, follow=True)
        assert bad.redirect_chain[0][1] == 302
        assert client.get(url, {**LOOK, "file": "A0"}).status_code == 404
        assert client.get(url, LOOK).status_code == 404

    def test_glyphs_that_are_missing_are_named_on_the_page(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store, name="𠮷座")
        client.force_login(owner)
        page = client.get(_url("code_studio", merchant, code.pk))
        assert "𠮷" in page.context["problem"]
        assert all("𠮷" in one.problem for one in page.context["sheets"])

    @pytest.mark.parametrize("role", Role.values)
    def test_roles(self, client: Client, role: str) -> None:
        merchant, _, store = make_merchant()
        code = _code(merchant, store)
        client.force_login(make_member(merchant, role).user)
        page = client.get(_url("code_studio", merchant, code.pk))
        assert page.status_code == 200
        keeps = _url("design_create", merchant) in page.content.decode()
        assert keeps == (role in {Role.OWNER, Role.MANAGER})

    def test_choices_go_on_into_a_new_design_with_their_logo(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        with enter_scope(Scope(merchant.pk)):
            _keep("A", WITH_LOGO)
        client.force_login(owner)
        query = client.get(_url("code_studio", merchant, code.pk)).context["query"]
        page = client.get(f"{_url('design_create', merchant)}?{query}")
        assert page.context["shown"].logo is not None
        assert page.context["form"].kept_text
        strange = client.get(
            _url("design_create", merchant), {**LOOK, "with_logo": "on", "design": "999"}
        )
        assert strange.status_code == 404

    def test_a_strangers_design_is_not_taken(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        other, _, _ = make_merchant()
        with enter_scope(Scope(other.pk)):
            strange = _keep("A", WITH_LOGO)
        client.force_login(owner)
        page = client.get(_url("code_studio", merchant, code.pk), {"design": strange.pk})
        assert page.context["look"] == PLAIN

    def test_the_codes_own_page_uses_the_default(self, client: Client) -> None:
        merchant, owner, store = make_merchant()
        code = _code(merchant, store)
        with enter_scope(Scope(merchant.pk)):
            _keep("A", Design(foreground="#5A0F14"))
        client.force_login(owner)
        image = open_png(client.get(_url("code_preview", merchant, code.pk)).content)
        assert (0x5A, 0x0F, 0x14) in {
            colour for _count, colour in image.convert("RGB").getcolors(1 << 20) or []
        }
