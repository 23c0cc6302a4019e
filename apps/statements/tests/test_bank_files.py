"""Bank statements: every dialect of columns is read, each movement is stored once, a bad file stores nothing."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from datetime import date

import pytest
from django.db import IntegrityError, InternalError, transaction

from apps.core.models import AuditEvent
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.platforms.tables import look
from apps.statements import bank_tables, services
from apps.statements.models import BankAccount, BankFile, BankLine
from apps.statements.tests.money import ACTOR, DAY, MAPPING, TENPAY, bank_csv, make_bank, upload

HEAD = ",".join(MAPPING.values())


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def bank(shop: Shop) -> BankAccount:
    return make_bank()


def stored() -> list[tuple[object, ...]]:
    rows = BankLine.objects.order_by("pk")
    return list(
        rows.values_list("day", "amount_minor", "counterparty", "reference", "balance_minor")
    )


def refusal(bank: BankAccount, content: bytes) -> services.BankFileRefused:
    """Why a file is refused, and that nothing of it was stored."""
    before = BankLine.objects.count(), BankFile.objects.count(), AuditEvent.objects.count()
    with pytest.raises(services.BankFileRefused) as refused:
        upload(bank, content)
    assert (
        BankLine.objects.count(),
        BankFile.objects.count(),
        AuditEvent.objects.count(),
    ) == before
    return refused.value


class TestReading:
    def test_rows_are_stored_as_the_bank_wrote_them(self, bank: BankAccount) -> None:
        result = upload(bank, bank_csv((DAY, 14_910, TENPAY, "A1"), (DAY, -500, "水费", "A2")))
        assert (result.rows, result.new) == (2, 2)
        assert stored() == [(DAY, 14_910, TENPAY, "A1", 14_910), (DAY, -500, "水费", "A2", 14_410)]
        file = BankFile.objects.get()
        assert (file.first_day, file.last_day, file.row_count, file.new_count) == (DAY, DAY, 2, 2)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
    def test_encodings_and_packing(self, bank: BankAccount, encoding: str) -> None:
        text = bank_csv((DAY, 14_910, TENPAY, "A1")).decode()
        plain = text.encode(encoding)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("流水.csv", plain)
        assert [
            upload(bank, each).new for each in (plain, gzip.compress(plain), packed.getvalue())
        ] == [1, 0, 0]
        assert stored()[0][2] == TENPAY

    def test_in_and_out_in_two_columns(self, bank: BankAccount) -> None:
        bank.mapping = {"day": "日期", "money_in": "贷方", "money_out": "借方"}
        bank.save()
        text = '企业网银流水\n账号:1234,,\n日期,借方,贷方\n2026/11/19,,"1,234.50"\n20261120,88.00,\n2026年11月21日,0.00,0.01\n2026-11-22 08:00:00,0.00,0.00\n合计,88.00,1234.51\n'
        assert upload(bank, text.encode()).new == 3
        assert [(row[0], row[1]) for row in stored()] == [
            (date(2026, 11, 19), 123_450),
            (date(2026, 11, 20), -8_800),
            (date(2026, 11, 21), 1),
        ]

    def test_a_column_that_says_the_direction(self, bank: BankAccount) -> None:
        bank.mapping = {"day": "日期", "amount": "金额", "direction": "借贷标志"}
        bank.save()
        text = "日期,金额,借贷标志,x\n2026-11-19,5.00,贷,\n2026-11-19,3.00,借,\n"
        assert upload(bank, text.encode()).new == 2
        assert [row[1] for row in stored()] == [500, -300]
        wrong = refusal(bank, text.replace("借,", "转,").encode())
        assert (wrong.line, wrong.column) == (3, "借贷标志")

    def test_guessed_columns_are_the_banks_usual_ones(self) -> None:
        heads = [
            "交易日",
            "交易时间",
            "摘要",
            "借方发生额",
            "贷方发生额",
            "余额",
            "对方户名",
            "交易流水号",
        ]
        assert bank_tables.guess(heads) == {
            "day": "交易时间",
            "money_in": "贷方发生额",
            "money_out": "借方发生额",
            "counterparty": "对方户名",
            "reference": "交易流水号",
            "balance": "余额",
            "memo": "摘要",
        }
        assert bank_tables.guess(["记账日期", "金额", "借贷标志"]) == {
            "day": "记账日期",
            "direction": "借贷标志",
            "amount": "金额",
        }


def test_a_statement_may_name_wallets(bank: BankAccount) -> None:
    """A bill of a private wallet is known by words that stand in a bank's statement as well."""
    title = "企业账户交易明细,支付宝（中国）网络技术有限公司,微信支付账单明细\n".encode()
    assert upload(bank, title + bank_csv((DAY, 100, "支付宝", "A1"))).new == 1


class TestOnce:
    def test_overlapping_periods_store_each_movement_once(self, bank: BankAccount) -> None:
        first = [(DAY, 100, TENPAY, "A1"), (DAY, 200, TENPAY, "A2")]
        assert upload(bank, bank_csv(*first)).new == 2
        again = upload(bank, bank_csv(*first))
        assert (again.new, again.file, BankFile.objects.count()) == (0, None, 1)
        assert upload(bank, bank_csv(*first[1:], (DAY, 300, TENPAY, "A3"))).new == 1
        assert [row[1] for row in stored()] == [100, 200, 300]

    def test_identical_rows_without_a_reference_are_counted(self, bank: BankAccount) -> None:
        bank.mapping = {"day": "交易日期", "amount": "交易金额"}
        bank.save()
        row = (DAY, 100, TENPAY, "")
        assert upload(bank, bank_csv(row, row)).new == 2
        assert upload(bank, bank_csv(row, row, row)).new == 1
        assert len(stored()) == 3

    def test_the_same_reference_at_two_banks_is_two_movements(
        self, shop: Shop, bank: BankAccount
    ) -> None:
        content = bank_csv((DAY, 100, TENPAY, "A1"))
        assert upload(bank, content).new == 1
        assert upload(make_bank("工商银行"), content).new == 1

    def test_a_line_stays_as_the_bank_wrote_it(self, bank: BankAccount) -> None:
        upload(bank, bank_csv((DAY, 100, TENPAY, "A1")))
        for change in (
            lambda: BankLine.objects.update(amount_minor=1),
            BankLine.objects.all().delete,
        ):
            with pytest.raises((IntegrityError, InternalError)), transaction.atomic():
                change()
        with pytest.raises((IntegrityError, InternalError)), transaction.atomic():
            BankFile.objects.update(new_count=9)

    def test_a_name_is_given_once(self, bank: BankAccount) -> None:
        with pytest.raises(services.BankAccountTaken):
            make_bank()
        assert BankAccount.objects.count() == 1


GOOD = "2026-11-19,1.00,x,y,1.00,A1\n"
ZIP_BOMB = io.BytesIO()
with zipfile.ZipFile(ZIP_BOMB, "w", zipfile.ZIP_DEFLATED) as _archive:
    _archive.writestr("a.csv", b" " * (70 * 1024 * 1024))


BAD: list[tuple[bytes, int | None, str | None]] = [
    (b"", None, None),
    (b"   \n\n", None, None),
    (f"{HEAD}\n".encode(), None, None),
    (f"{HEAD}\n{GOOD}2026-13-19,1.00,x,y,1.00,A2\n".encode(), 3, "交易日期"),
    (f"{HEAD}\n{GOOD}昨天,1.00,x,y,1.00,A2\n".encode(), 3, "交易日期"),
    (f"{HEAD}\n1899-12-30,1.00,x,y,1.00,A2\n".encode(), 2, "交易日期"),
    (f"{HEAD}\n{GOOD}2026-11-19,壹元,x,y,1.00,A2\n".encode(), 3, "交易金额"),
    (f"{HEAD}\n{GOOD}2026-11-19,1.005,x,y,1.00,A2\n".encode(), 3, "交易金额"),
    (f"{HEAD}\n{GOOD}2026-11-19,,x,y,1.00,A2\n".encode(), 3, "交易金额"),
    (f"{HEAD}\n{GOOD}2026-11-19,1e9,x,y,1.00,A2\n".encode(), 3, "交易金额"),
    (f"{HEAD}\n{GOOD}2026-11-19,99999999999999,x,y,1.00,A2\n".encode(), 3, "交易金额"),
    (f"{HEAD}\n{GOOD}2026-11-19,NaN,x,y,1.00,A2\n".encode(), 3, "交易金额"),
    (f"{HEAD}\n{GOOD}2026-11-19,1.00,x,y,abc,A2\n".encode(), 3, "余额"),
    (f"{HEAD}\n{GOOD}2026-11-19,1.00,x,y,1.00,4.2E+27\n".encode(), 3, "流水号"),
    (f"{HEAD}\n{GOOD}2026-11-19,1.00\n{GOOD}".encode(), 3, None),
    (f"{HEAD}\n{GOOD}2026-11-19,1.0".encode(), 3, None),
    (f'{HEAD}\n{GOOD}2026-11-19,"1.00,x,y,1.00,A2\n'.encode(), 3, None),
    (HEAD.replace("流水号", "编号").encode() + f"\n{GOOD}".encode(), 1, "流水号"),
    (f"{HEAD},交易金额\n{GOOD}".encode(), 1, "交易金额"),
    (b"\xff\xfe\x00\x01" * 30, None, None),
    (b"%PDF-1.7 ...", None, None),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 xls", None, None),
    (b"PK\x03\x04broken", None, None),
    (gzip.compress(f"{HEAD}\n{GOOD}".encode())[:-12], None, None),
    (ZIP_BOMB.getvalue(), 1, None),
    (b"x" * (services.MOST_BYTES + 1), None, None),
    (f"{HEAD}\n2026-11-19,1.00,a\0b,y,1.00,A2\n".encode(), 2, "对方户名"),
]


@pytest.mark.parametrize(("content", "line", "column"), BAD, ids=range(len(BAD)))
def test_a_bad_file_says_where_and_stores_nothing(
    bank: BankAccount, content: bytes, line: int | None, column: str | None
) -> None:
    upload(bank, bank_csv((DAY, 700, TENPAY, "Z9")))
    refused = refusal(bank, content)
    assert (refused.line, refused.column) == (line, column)
    assert refused.message.endswith((".", "。"))
    assert refused.message.count("\n") == 0
    if line is not None:
        assert str(line) in refused.message
    if column is not None:
        assert column in refused.message


def test_without_a_column_map_nothing_is_guessed(shop: Shop) -> None:
    bank = services.add_bank_account(name="农业银行", actor=ACTOR, now=NOW)
    assert refusal(bank, bank_csv((DAY, 1, "x", "y"))).reason == "no_columns"


class TestColumns:
    @pytest.mark.parametrize(
        ("mapping", "field"),
        [
            ({}, "day"),
            ({"day": "日"}, "amount"),
            ({"day": "日", "money_in": "进"}, "money_out"),
            ({"day": "日", "money_out": "出"}, "money_in"),
            ({"day": "日", "amount": "额", "money_in": "进"}, "amount"),
            ({"day": "日", "money_in": "进", "money_out": "出", "direction": "向"}, "direction"),
            ({"day": "日", "amount": "日"}, "amount"),
        ],
    )  # fmt: skip
    def test_a_map_that_cannot_be_used_names_the_field(
        self, shop: Shop, bank: BankAccount, mapping: dict[str, str], field: str
    ) -> None:
        with pytest.raises(services.ColumnsRefused) as refused:
            services.set_bank_columns(
                bank_account_id=bank.pk,
                mapping=mapping,
                member=shop["finance"],
                actor=ACTOR,
                now=NOW,
            )
        assert refused.value.field == field
        bank.refresh_from_db()
        assert bank.mapping == MAPPING

    def test_the_first_rows_are_tried_before_it_is_kept(
        self, shop: Shop, bank: BankAccount
    ) -> None:
        sample = look(bank_csv((DAY, 100, TENPAY, "A1"), (DAY, -5, "x", "A2")))
        assert [
            row.amount_minor for row in services.try_bank_columns(sample=sample, mapping=MAPPING)
        ] == [100, -5]
        with pytest.raises(services.ColumnsRefused) as refused:
            services.try_bank_columns(
                sample=sample, mapping={**MAPPING, "amount": "摘要", "memo": ""}
            )
        assert refused.value.field == "amount"
        made = services.set_bank_columns(
            bank_account_id=bank.pk, mapping=MAPPING, member=shop["finance"], actor=ACTOR, now=NOW
        )
        assert made.mapped_by_id == shop["finance"].pk
