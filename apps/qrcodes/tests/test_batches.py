"""Many codes at once: ranges and tables are read, all are made or none."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from apps.core.doors import find_door
from apps.core.models import AuditEvent
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Role, Store
from apps.merchants.tests.teams import ACTOR, NOW, make_member, make_merchant, make_store
from apps.qrcodes.artwork import Placard, TextTooLong
from apps.qrcodes.artwork.fonts import missing_glyphs
from apps.qrcodes.artwork.placard import caption
from apps.qrcodes.batches import (
    MOST_CODES,
    FileRefused,
    Row,
    decode,
    read_labels,
    read_numbers,
    read_table,
)
from apps.qrcodes.forms.batches import called
from apps.qrcodes.models import CodeBatch, CodeVersion, QRCode, Scenario
from apps.qrcodes.scenarios import HOUSE
from apps.qrcodes.selectors import print_flaws, trial_placards, version_in_force
from apps.qrcodes.services import (
    BatchRefused,
    CodeRefused,
    copy_codes,
    create_code,
    make_batch,
    revise_code,
)
from apps.qrcodes.terms import CodeTerms, terms_of

TABLE = called(HOUSE["table"].questions)


def _reasons(flaws: Any) -> list[tuple[int, str, str]]:
    return [(flaw.line, flaw.field, flaw.reason) for flaw in flaws]


class TestNumbers:
    @pytest.mark.parametrize(
        ("text", "numbers"),
        [
            ("1-3", ["1", "2", "3"]),
            ("01-03", ["01", "02", "03"]),
            ("098-101", ["098", "099", "100", "101"]),
            ("A1-A3", ["A1", "A2", "A3"]),
            ("A1-3", ["A1", "A2", "A3"]),
            ("A1~A2、B1到B2，VIP", ["A1", "A2", "B1", "B2", "VIP"]),
            ("１－２", ["1", "2"]),
            ("包间1-2\n7", ["包间1", "包间2", "7"]),
            ("12-12", ["12"]),
            ("B-12", ["B-12"]),
        ],
    )
    def test_ranges_are_read_as_people_write_them(self, text: str, numbers: list[str]) -> None:
        assert read_numbers(text) == (numbers, [])

    def test_fours_are_left_out_on_request(self) -> None:
        numbers, flaws = read_numbers("1-20", without_four=True)
        assert (len(numbers), flaws) == (18, [])
        assert not {"4", "14"} & set(numbers)

    @pytest.mark.parametrize(
        ("text", "reason", "value"),
        [
            ("", "missing", ""),
            (" , ,", "missing", ""),
            ("9-1", "backwards", "9-1"),
            ("A1-B3", "ends_differ", "A1-B3"),
            ("1-5, 3", "twice", "3"),
            ("1-2000, " * 40, "too_many", "1-2000"),
            ("1-100000", "too_many", "1-100000"),
            ("1-1500, 3000-4500", "too_many", "3000-4500"),
            ("x" * 61, "too_long", "x" * 40),
        ],
    )
    def test_what_cannot_be_read_is_named(self, text: str, reason: str, value: str) -> None:
        _numbers, flaws = read_numbers(text)
        assert [(flaw.reason, flaw.value) for flaw in flaws] == [(reason, value)]

    @given(st.text(max_size=200))
    def test_no_text_breaks_it_or_brings_too_many(self, text: str) -> None:
        numbers, flaws = read_numbers(text)
        assert len(numbers) == len(set(numbers)) <= MOST_CODES
        assert numbers or flaws

    @given(st.integers(0, 900), st.integers(0, 300), st.sampled_from(["", "A", "桌"]))
    def test_a_range_has_all_its_numbers_once(self, first: int, more: int, head: str) -> None:
        numbers, flaws = read_numbers(f"{head}{first}-{head}{first + more}")
        assert flaws == []
        assert numbers == [f"{head}{number}" for number in range(first, first + more + 1)]


class TestTables:
    def test_columns_are_known_by_key_and_in_both_languages(self) -> None:
        reading = read_table(
            "名称,English name,桌号,Area,金额,标签\n桌号 1,Table 1,1,露台,12.5,夏 、 vip\n",
            questions=TABLE,
        )
        assert reading.flaws == []
        assert reading.rows == [
            (
                2,
                {
                    "name": "桌号 1",
                    "name_en": "Table 1",
                    "number": "1",
                    "area": "露台",
                    "amount": "12.5",
                    "labels": "夏 、 vip",
                },
            )
        ]
        assert read_labels("夏 、 vip, 夏") == ("夏", "vip")

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_other_delimiters_quoted_cells_and_blank_lines(self, delimiter: str) -> None:
        out = io.StringIO()
        writer = csv.writer(out, delimiter=delimiter)
        writer.writerows([["name", "labels"], [], ["a\nb", f"x{delimiter}y"]])
        reading = read_table(out.getvalue(), questions=TABLE)
        assert [values["name"] for _line, values in reading.rows] == ["a b"]

    @pytest.mark.parametrize(
        ("text", "flaws"),
        [
            ("colour,name\n1,2\n", [(1, "", "unknown_column")]),
            ("name,名称\n1,2\n", [(1, "name", "column_twice")]),
            ("labels\nx\n", [(1, "name", "no_name_column")]),
            ("name\n", [(0, "", "no_rows")]),
            ("name\n1,2\n", [(2, "", "too_many_cells")]),
            ('name\n"1', []),
            ("name\n" + "x" * 200_000 + "\n", [(2, "", "unreadable")]),
            ("name\n" + "x\n" * (MOST_CODES + 1), [(MOST_CODES + 2, "", "too_many")]),
        ],
    )
    def test_a_table_of_the_wrong_shape_is_refused(
        self, text: str, flaws: list[tuple[int, str, str]]
    ) -> None:
        assert _reasons(read_table(text, questions=TABLE).flaws) == flaws

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
    def test_the_encodings_of_office_programs_are_read(self, encoding: str) -> None:
        text = "name\n桌号 1\n"
        assert decode(text.encode(encoding)) == text

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "empty"),
            (b" \n", "empty"),
            (b"PK\x03\x04rest", "workbook"),
            (b"\xd0\xcf\x11\xe0rest", "workbook"),
            (b"a\x00b", "binary"),
            (b"\xff\xff\xff", "encoding"),
            (b"x" * 1_000_001, "too_large"),
        ],
    )
    def test_what_is_no_table_is_refused(self, content: bytes, reason: str) -> None:
        with pytest.raises(FileRefused) as refused:
            decode(content)
        assert refused.value.reason == reason

    @given(st.binary(max_size=400))
    def test_no_file_breaks_it(self, content: bytes) -> None:
        try:
            text = decode(content)
        except FileRefused:
            return
        read_table(text, questions=TABLE)


def _rows(store: Store, *names: str, **terms: Any) -> list[Row]:
    return [
        Row(line, CodeTerms(store_id=store.pk, name=name, **terms), kind="table", labels=("夏",))
        for line, name in enumerate(names, start=1)
    ]


@pytest.mark.django_db
class TestMaking:
    def test_all_are_made_with_doors_versions_and_history(self) -> None:
        merchant, _owner, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            rows = _rows(store, "桌号 1", "桌号 2", details={"number": "1"})
            batch = make_batch(rows, nonce="n", actor=ACTOR, now=NOW)
            codes = list(batch.codes.select_related("scenario").order_by("pk"))
            assert [code.scenario.name for code in codes] == ["桌号 1", "桌号 2"]
            assert [code.labels for code in codes] == [["夏"], ["夏"]]
            for code, row in zip(codes, rows, strict=True):
                assert find_door(kind="qrcode", token=code.token).subject_id == code.pk
                assert terms_of(version_in_force(code_id=code.pk, now=NOW)) == row.terms
            assert AuditEvent.objects.filter(action="code.created").count() == 2

    def test_the_same_form_sent_twice_makes_them_once(self) -> None:
        merchant, _owner, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            first = make_batch(_rows(store, "a"), nonce="n", actor=ACTOR, now=NOW)
            again = make_batch(_rows(store, "a"), nonce="n", actor=ACTOR, now=NOW)
            assert first.pk == again.pk
            assert QRCode.objects.count() == 1

    def test_the_statements_do_not_grow_with_the_rows(self) -> None:
        merchant, _owner, store = make_merchant()
        counts: list[int] = []
        with enter_scope(Scope(merchant.pk)):
            for nonce, size in (("few", 3), ("many", 400)):
                rows = _rows(store, *(f"{nonce} {number}" for number in range(size)))
                with CaptureQueriesContext(
                    connection,
                ) as asked:
                    make_batch(rows, nonce=nonce, actor=ACTOR, now=NOW)
                counts.append(len(asked))
        assert counts[0] == counts[1]
        assert counts[1] <= 16

    @pytest.mark.parametrize(
        ("names", "terms", "flaws"),
        [
            (("a", "a"), {}, [(2, "name", "twice")]),
            (("a", ""), {}, [(2, "name", "missing")]),
            (("a", "b" * 61), {}, [(2, "name", "too_long")]),
            (("a",), {"most_minor": 0}, [(1, "most_minor", "out_of_range")]),
        ],
    )
    def test_one_flaw_and_nothing_is_made(
        self, names: tuple[str, ...], terms: dict[str, Any], flaws: list[tuple[int, str, str]]
    ) -> None:
        merchant, _owner, store = make_merchant()
        with enter_scope(Scope(merchant.pk)):
            with pytest.raises(BatchRefused) as refused:
                make_batch(_rows(store, *names, **terms), nonce="n", actor=ACTOR, now=NOW)
            assert _reasons(refused.value.flaws) == flaws
            assert not QRCode.objects.exists()
            assert not Scenario.objects.exists()
            assert not CodeBatch.objects.exists()

    def test_stores_terminals_and_kinds_are_checked(self) -> None:
        merchant, _owner, store = make_merchant()
        other = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            mixed = [*_rows(store, "a"), *_rows(other, "b")]
            with pytest.raises(CodeRefused, match="several"):
                make_batch(mixed, nonce="1", actor=ACTOR, now=NOW)
            with pytest.raises(CodeRefused, match="missing"):
                make_batch([], nonce="2", actor=ACTOR, now=NOW)
            with pytest.raises(CodeRefused, match="elsewhere"):
                make_batch(_rows(store, "a", terminal_id=1), nonce="3", actor=ACTOR, now=NOW)
        with (
            enter_scope(Scope(merchant.pk, frozenset({other.pk}))),
            pytest.raises(Store.DoesNotExist),
        ):
            make_batch(_rows(store, "a"), nonce="4", actor=ACTOR, now=NOW)

    def test_copies_carry_terms_and_labels_into_another_store(self) -> None:
        merchant, _owner, store = make_merchant()
        other = make_store(merchant)
        with enter_scope(Scope(merchant.pk)):
            batch = make_batch(
                _rows(store, "a", "b", note_mode="none"), nonce="1", actor=ACTOR, now=NOW
            )
            ids = list(batch.codes.values_list("pk", flat=True))
            create_code(store_id=other.pk, kind="table", name="b", actor=ACTOR, now=NOW)
            copies, left_out = copy_codes(
                ids, store_id=other.pk, folder_id=None, nonce="2", actor=ACTOR, now=NOW
            )
            copy = copies.codes.select_related("scenario").get()
            assert left_out == ["b"]
            assert (copy.scenario.name, copy.store_id, copy.labels) == ("a", other.pk, ["夏"])
            assert version_in_force(code_id=copy.pk, now=NOW).note_mode == "none"
            original = QRCode.objects.get(pk=ids[0])
            assert copy.token != original.token
            # The copy is its own code: changing it leaves the original alone.
            terms = terms_of(version_in_force(code_id=copy.pk, now=NOW))
            revise_code(
                code_id=copy.pk,
                terms=CodeTerms(store_id=other.pk, name="c"),
                expected=1,
                actor=ACTOR,
                now=NOW,
            )
            assert terms.name == "a"
            assert CodeVersion.objects.filter(code=original).count() == 1


def _post(client: Client, merchant: Merchant, **data: Any) -> Any:
    return client.post(reverse("qrcodes:code_bulk", args=[merchant.slug]), data)


@pytest.fixture
def english(client: Client) -> Client:
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    return client


def _given(store: Store, /, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "table",
        "store": store.pk,
        "way": "range",
        "numbers": "1-3",
        "pattern": "桌号 {number}",
        "pattern_en": "Table {number}",
        "nonce": "nonce-1",
    } | changes


@pytest.mark.django_db
class TestPages:
    def test_a_range_is_looked_at_then_made(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        english.force_login(owner)
        start = english.get(reverse("qrcodes:code_bulk", args=[merchant.slug]), {"kind": "table"})
        assert start.context["form"]["pattern"].value() == "桌号 {number}"
        data = _given(store, area="露台", new_folder="露台", labels="夏, vip")
        page = _post(english, merchant, **data)
        assert page.status_code == 200
        assert "3 codes to be made" in page.content.decode()
        with enter_scope(Scope(merchant.pk)):
            assert not QRCode.objects.exists()
        done = _post(english, merchant, **data, sure="1")
        assert done.status_code == 302
        again = _post(english, merchant, **data, sure="1")
        assert again["Location"] == done["Location"]
        with enter_scope(Scope(merchant.pk)):
            codes = list(QRCode.objects.select_related("scenario", "folder").order_by("pk"))
            assert [code.scenario.name_en for code in codes] == ["Table 1", "Table 2", "Table 3"]
            assert {code.folder.name for code in codes if code.folder} == {"露台"}
            assert codes[0].labels == ["夏", "vip"]
            details = version_in_force(code_id=codes[0].pk, now=NOW.replace(year=2100)).details
            assert details == {"number": "1", "area": "露台"}
        listed = english.get(done["Location"])
        assert len(listed.context["page"].rows) == 3

    def test_a_table_says_row_by_row_what_is_wrong_and_makes_nothing(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        english.force_login(owner)
        with enter_scope(Scope(merchant.pk)):
            create_code(store_id=store.pk, kind="table", name="桌号 9", actor=ACTOR, now=NOW)
        rows = [
            "name,amount,labels",
            "桌号 1,12.345,",
            "桌号 9,,",
            "桌号 1,5," + "x" * 31,
            "\U0001f600,,",
        ]
        file = SimpleUploadedFile("t.csv", "\n".join(rows).encode("gb18030"))
        page = _post(english, merchant, **_given(store, way="table", file=file))
        assert page.status_code == 422
        flaws = [(flaw["line"], flaw["field"]) for flaw in page.context["flaws"]]
        assert flaws == [
            (2, "Amount"),
            (3, "Name"),
            (4, "Labels"),
            (4, "Name"),
            (5, "Name"),
        ]
        with enter_scope(Scope(merchant.pk)):
            assert QRCode.objects.count() == 1

    def test_a_table_is_carried_through_the_preview(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        english.force_login(owner)
        file = SimpleUploadedFile("t.csv", b"number,amount\n7,9.90\nVIP,\n")
        data = _given(store, way="table")
        page = _post(english, merchant, **data, file=file)
        assert page.status_code == 200
        table = page.context["table"]
        done = _post(english, merchant, **data, table=table, sure="1")
        assert done.status_code == 302
        with enter_scope(Scope(merchant.pk)):
            amounts = list(
                QRCode.objects.order_by("pk").values_list("scenario__name", "amount_minor")
            )
        assert amounts == [("桌号 7", 990), ("桌号 VIP", None)]

    def test_names_that_are_there_can_be_left_out(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        english.force_login(owner)
        with enter_scope(Scope(merchant.pk)):
            create_code(store_id=store.pk, kind="table", name="桌号 2", actor=ACTOR, now=NOW)
        page = _post(english, merchant, **_given(store))
        assert [flaw["line"] for flaw in page.context["flaws"]] == [2]
        page = _post(english, merchant, **_given(store, skip_existing="on"))
        assert page.context["skipped"] == ["桌号 2"]
        assert page.context["count"] == 2

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"numbers": ""}, "numbers"),
            ({"numbers": "5-1"}, "numbers"),
            ({"pattern": "Table"}, "pattern"),
            ({"labels": "x" * 31}, "labels"),
            ({"way": "table"}, "file"),
            ({"store": "999999"}, "store"),
        ],
    )
    def test_mistakes_stand_at_their_fields(
        self, english: Client, changes: dict[str, Any], field: str
    ) -> None:
        merchant, owner, store = make_merchant()
        english.force_login(owner)
        page = _post(english, merchant, **_given(store, **changes))
        assert page.status_code == 422
        assert list(page.context["form"].errors) == [field]

    def test_the_empty_table_is_read_by_its_own_reader(self, english: Client) -> None:
        merchant, owner, store = make_merchant()
        english.force_login(owner)
        for kind in HOUSE:
            response = english.get(
                reverse("qrcodes:bulk_table", args=[merchant.slug]), {"kind": kind}
            )
            file = SimpleUploadedFile("t.csv", response.content)
            data = _given(store, kind=kind, way="table", file=file)
            if kind == "product":
                continue
            page = _post(english, merchant, **data)
            assert page.status_code == 200, (kind, page.context["flaws"])
            assert page.context["count"] == 2

    def test_a_cashier_makes_none(self, english: Client) -> None:
        merchant, _owner, store = make_merchant()
        english.force_login(make_member(merchant, Role.CASHIER).user)
        assert _post(english, merchant, **_given(store)).status_code == 403


@pytest.mark.django_db
@given(
    st.lists(
        st.tuples(
            st.text(alphabet="桌号露台 A1-中😀é\u0301\u200b\ufe0f", max_size=60),
            st.text(alphabet="Table 12-é\u0301", max_size=60),
        ),
        max_size=6,
    ),
    st.sampled_from(["中山路店", "店" * 30, "s" * 60]),
)
def test_names_are_refused_as_their_placards_would_be_one_by_one(
    names: list[tuple[str, str]], store_name: str
) -> None:
    with enter_scope(Scope(1)):
        merchant = Merchant(name="晨光咖啡", name_en="Morning Coffee", slug="x")
        store = Store(name=store_name, name_en="Zhongshan Road")
        rows = [
            Row(line, CodeTerms(store_id=1, name=name, name_en=name_en), kind="table")
            for line, (name, name_en) in enumerate(names, start=1)
        ]
        found = {
            (flaw.line, flaw.field, flaw.reason)
            for flaw in print_flaws(rows, store=store, merchant=merchant)
        }
        expected: set[tuple[int, str, str]] = set()
        for line, (name, name_en) in enumerate(names, start=1):
            texts = (("name", name), ("name_en", name_en))
            missing = {
                (line, field, "unprintable") for field, text in texts if missing_glyphs(text)
            }
            expected |= missing
            placards = trial_placards(store=store, merchant=merchant, name=name, name_en=name_en)
            if not missing and any(_too_long(placard) for placard in placards):
                expected.add((line, "name", "too_long_to_print"))
    assert found == expected


def _too_long(placard: Placard) -> bool:
    try:
        caption(placard)
    except TextTooLong:
        return True
    return False
