"""Books that hold are found whole; each kind of damage is found and named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.core.audit import Actor
from apps.core.money import Money
from apps.ledger.models import Account, Adjustment, JournalEntry, Posting
from apps.ledger.tests.books import adjust
from apps.merchants.tests.factories import NOW, Shop, check_now, inside, make_shop
from apps.operations import books
from apps.payments.models import Order, Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.platforms.gateway import Outcome, RefundResult
from apps.reconciliation.models import DayFile, DayFilePart, ReconciliationRun
from apps.reconciliation.services import write_day_files
from apps.reconciliation.tests.closes import close, settled
from apps.reconciliation.tests.days import DAY
from apps.refunds import services as refunds
from apps.statements.models import BankLine, Settlement
from apps.statements.services import link
from apps.statements.tests.money import bank_csv, make_bank, upload

DESK = Actor("desk")


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        account = make_account(shop)
        make_paid(shop, account, minor=5_000)
        payment = make_paid(shop, account, minor=10_000)
        refund = refunds.request_refund(
            payment_id=payment.pk,
            amount=Money(4_000),
            reason="x",
            member=shop["cashier"],
            actor=DESK,
            now=NOW,
        )
        refunds.apply_refund_result(
            refund_id=refund.pk,
            result=RefundResult(
                outcome=Outcome.SUCCEEDED,
                order_no=payment.order_no,
                refund_no=refund.refund_no,
                refunded_at=NOW,
            ),
            via="poll",
            now=NOW,
            actor=DESK,
        )
        ReconciliationRun.objects.create(account=account, day=NOW.date(), started_at=NOW)
        check_now()
        yield shop


def broken() -> list[str]:
    return [finding.check for finding in books.verify()]


def damage(*statements: str, **values: int) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, values or None)


def test_whole_books_have_no_findings(shop: Shop) -> None:
    assert broken() == []


def test_a_payment_changed_by_hand_is_found(shop: Shop) -> None:
    Payment.objects.filter(amount_minor=5_000).update(amount_minor=5_001)
    assert broken() == ["what moved is in the journal, once"]


def test_a_refunded_sum_changed_by_hand_is_found(shop: Shop) -> None:
    Payment.objects.filter(amount_minor=10_000).update(refunded_minor=3_999)
    assert broken() == ["refunds add up on their payment"]


def test_an_order_changed_by_hand_is_found(shop: Shop) -> None:
    Order.objects.filter(amount_minor=5_000).update(state="open")
    assert broken() == ["an order is paid if a payment of it is"]


def test_a_payment_taken_back_by_hand_is_found(shop: Shop) -> None:
    Payment.objects.filter(amount_minor=5_000).update(state="closed")
    assert broken() == ["what is in the journal moved", "an order is paid if a payment of it is"]


def test_a_posting_changed_by_the_owner_of_the_table_is_found(shop: Shop) -> None:
    damage(
        "ALTER TABLE ledger_posting DISABLE TRIGGER append_only",
        "UPDATE ledger_posting SET amount_minor = amount_minor + 1"
        " WHERE id = (SELECT min(id) FROM ledger_posting WHERE amount_minor < 0)",
    )
    assert broken() == ["every journal entry balances", "the trial balance is zero"]


def test_a_gap_that_nothing_explains_is_found(shop: Shop) -> None:
    ReconciliationRun.objects.update(their_net_minor=7)
    assert broken() == ["differences explain the gap of their run"]


def test_the_command_names_the_row_and_fails(shop: Shop) -> None:
    out = StringIO()
    call_command("verify_books", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"ok": True, "merchants": {"tea": []}}
    Payment.objects.filter(amount_minor=5_000).update(amount_minor=5_001)
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_books", "--json", stdout=out)
    assert "moved 5001 fen, the journal holds 5000" in out.getvalue()


class TestClosedDays:
    """What a closing keeps, broken by hand with the guards off."""

    @pytest.fixture(autouse=True)
    def _closed(self, db: None) -> Iterator[None]:
        with inside(make_shop("bar")) as shop:
            settled(shop)
            write_day_files(close_id=close(shop).pk, now=NOW)
            check_now()
            assert broken() == []
            yield

    def test_a_closing_whose_sums_were_changed_is_found(self) -> None:
        damage(
            "ALTER TABLE reconciliation_dayclose DISABLE TRIGGER append_only",
            "UPDATE reconciliation_dayclose SET payment_minor = payment_minor + 1",
        )
        assert broken() == ["closed days hold what their closing says"]

    @pytest.mark.parametrize(
        "column", ["refund_count", "entry_count", "debit_minor", "fee_minor", "payment_count"]
    )
    def test_each_figure_is_compared(self, column: str) -> None:
        damage(
            "ALTER TABLE reconciliation_dayclose DISABLE TRIGGER append_only",
            f"UPDATE reconciliation_dayclose SET {column} = {column} + 1",  # noqa: S608  # named above
        )
        assert broken() == ["closed days hold what their closing says"]

    def test_an_entry_that_got_into_a_closed_day_is_found(self) -> None:
        damage("ALTER TABLE ledger_journalentry DISABLE TRIGGER ledger_day_is_open")
        entry = JournalEntry.objects.create(
            booked_date=DAY, at=NOW, kind="adjustment", subject_kind="payment", subject_id=1
        )
        sides = Account.objects.order_by("pk")[:2]
        Posting.objects.create(entry=entry, account=sides[0], amount_minor=5)
        Posting.objects.create(entry=entry, account=sides[1], amount_minor=-5)
        assert "closed days hold what their closing says" in broken()

    def test_a_day_that_nobody_closed_is_found(self) -> None:
        damage(
            "ALTER TABLE ledger_businessday DISABLE TRIGGER ledger_day_moves",
            "UPDATE ledger_businessday SET version = 2",
        )
        assert broken() == ["closed days were closed by somebody"]

    def test_a_file_that_was_changed_is_found_and_named(self) -> None:
        file = DayFile.objects.order_by("pk")[1]
        part = DayFilePart.objects.get(file=file, number=0)
        other = DayFilePart.objects.exclude(pk=part.pk).order_by("pk")[0]
        damage("ALTER TABLE reconciliation_dayfilepart DISABLE TRIGGER append_only")
        DayFilePart.objects.filter(pk=part.pk).update(content_sealed=bytes(other.content_sealed))
        found = books.verify()
        assert [finding.check for finding in found] == [
            "files of closed days are as they were written"
        ]
        assert file.filename in found[0].row

    def test_a_file_whose_piece_is_gone_is_found(self) -> None:
        damage(
            "ALTER TABLE reconciliation_dayfilepart DISABLE TRIGGER append_only",
            "DELETE FROM reconciliation_dayfilepart",
        )
        assert broken() == ["files of closed days are as they were written"]


def test_a_payout_that_lost_its_bank_line_is_found(shop: Shop) -> None:
    account = make_account(shop, merchant_no="1900000009")
    settlement = Settlement.objects.create(
        account=account,
        basis="bill",
        day=NOW.date(),
        net_minor=700,
        due_date=NOW.date(),
        computed_at=NOW,
    )
    upload(make_bank(), bank_csv((NOW.date(), 700, "x", "A")))
    line = BankLine.objects.get()
    link(line_ids=[line.pk], settlement_ids=[settlement.pk], member=None, actor=DESK, now=NOW)
    check_now()
    assert broken() == []
    BankLine.objects.update(payout=None)
    assert broken() == ["payouts agree with their bank lines, settlements and entries"]
    Settlement.objects.update(settled_minor=1)
    assert broken()[-1] == "where the money is adds up to the receivables"


class TestLedger:
    """Each check of the ledger, broken by SQL with its guards off."""

    @pytest.fixture(autouse=True)
    def _adjusted(self, shop: Shop) -> None:
        adjust(shop, 700, confirm=False)
        check_now()
        damage(
            "ALTER TABLE ledger_posting DISABLE TRIGGER append_only",
            "ALTER TABLE ledger_journalentry DISABLE TRIGGER append_only",
            "ALTER TABLE ledger_adjustmentline DISABLE TRIGGER append_only",
            "ALTER TABLE ledger_adjustment DISABLE TRIGGER ledger_adjustment_is_final",
            "ALTER TABLE ledger_posting DROP CONSTRAINT ledger_posting_entry_id_wall",
            "ALTER TABLE ledger_posting DROP CONSTRAINT ledger_posting_account_id_wall",
            "ALTER TABLE ledger_adjustment DROP CONSTRAINT ledger_adjustment_entry_id_wall",
        )

    def rows(self) -> dict[str, str]:
        return {finding.check: finding.row for finding in books.verify()}

    def test_whole(self, shop: Shop) -> None:
        assert broken() == []

    def test_a_posting_moved_to_another_account_balances_all_the_same(self, shop: Shop) -> None:
        """Only its adjustment remembers what was meant."""
        entry = JournalEntry.objects.get(kind="adjustment")
        bank = Account.objects.create(code="1002", name="b", purpose="bank")
        damage(
            "UPDATE ledger_posting SET account_id = %(bank)s"
            " WHERE entry_id = %(entry)s AND amount_minor > 0",
            bank=bank.pk,
            entry=entry.pk,
        )
        adjustment = Adjustment.objects.get()
        assert self.rows() == {
            "adjustments agree with their entries": f"adjustment {adjustment.pk}, has other lines"
            f" than its entry {entry.pk}"
        }

    def test_a_posting_without_its_entry(self, shop: Shop) -> None:
        posting = Posting.objects.filter(entry__kind="adjustment", amount_minor__gt=0).get()
        damage("UPDATE ledger_posting SET entry_id = 999999999 WHERE id = %(id)s", id=posting.pk)
        found = self.rows()
        assert found["postings belong to entries and accounts of the merchant"] == (
            f"posting {posting.pk}, its entry 999999999 is not this merchant's"
        )
        assert (
            found["every journal entry balances"]
            == f"journal entry {posting.entry_id}, -700 fen over"
        )
        # All postings sum to zero, but not those that people see.
        assert found["the trial balance is zero"] == "the trial balance, -700 fen over"

    def test_a_posting_on_anothers_account(self, shop: Shop) -> None:
        posting = Posting.objects.filter(entry__kind="payment").order_by("pk")[0]
        damage("UPDATE ledger_posting SET account_id = 999999999 WHERE id = %(id)s", id=posting.pk)
        found = self.rows()
        assert found["postings belong to entries and accounts of the merchant"] == (
            f"posting {posting.pk}, its account 999999999 is not this merchant's"
        )

    def test_a_fen_too_much(self, shop: Shop) -> None:
        damage(
            "UPDATE ledger_posting SET amount_minor = amount_minor - 3"
            " WHERE id = (SELECT max(id) FROM ledger_posting)"
        )
        assert self.rows()["the trial balance is zero"] == "all postings in CNY, -3 fen over"

    def test_an_entry_of_nothing(self, shop: Shop) -> None:
        entry = JournalEntry.objects.get(kind="adjustment")
        damage(
            "UPDATE ledger_journalentry SET subject_kind = 'refund', subject_id = 999999999, kind = 'x'"
            " WHERE id = %(id)s",
            id=entry.pk,
        )
        found = self.rows()
        assert found["entries are about something that is there"] == (
            f"journal entry {entry.pk}, there is no refund 999999999"
        )
        assert found["adjustments agree with their entries"].endswith("is posted without an entry")

    def test_an_entry_of_a_kind_that_nobody_knows(self, shop: Shop) -> None:
        entry = JournalEntry.objects.filter(kind="payment").order_by("pk")[0]
        damage(
            "UPDATE ledger_journalentry SET subject_kind = 'moon', kind = 'x' WHERE id = %(id)s",
            id=entry.pk,
        )
        assert self.rows()["entries are about something that is there"] == (
            f"journal entry {entry.pk}, nobody knows the kind 'moon'"
        )

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ("SET amount_minor = 701", "says 701 fen, its lines 700"),
            (
                "SET booked_date = booked_date - 1",
                "says it was booked on 2026-11-23, its entry on 2026-11-24",
            ),
            ("SET entry_id = 999999999", "names entry 999999999 instead of"),
            ("SET state = 'rejected', entry_id = NULL", "is rejected and has entry"),
        ],
    )
    def test_an_adjustment_changed_by_hand(self, shop: Shop, change: str, words: str) -> None:
        damage(f"UPDATE ledger_adjustment {change}")
        found = self.rows()
        assert list(found) == ["adjustments agree with their entries"]
        assert words in found["adjustments agree with their entries"]

    def test_a_line_changed_by_hand(self, shop: Shop) -> None:
        damage("UPDATE ledger_adjustmentline SET amount_minor = amount_minor * 2")
        assert "says 700 fen, its lines 1400" in self.rows()["adjustments agree with their entries"]
