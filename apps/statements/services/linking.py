"""Payouts: bank lines linked with the settlements that they pay, booked, and undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.core.clock import CHINA
from apps.core.money import Money
from apps.core.tenancy import ScopedQuerySet
from apps.ledger.models import Purpose
from apps.ledger.services import Line, NoOpenDay, booking_date, claim_day, post
from apps.platforms.models import PlatformAccount
from apps.statements.models import BankLine, Payout, Settlement, SettlementTerms
from apps.statements.selectors.settlements import names_platform
from apps.statements.selectors.terms import terms_of
from apps.statements.services.banking import BankImport, import_bank_file
from apps.statements.services.pairing import Arrived, Owed, Pair, find_pairs
from apps.statements.services.settling import settle, settle_bill

#: Where what is missing at the bank may be booked.
DIFFERENCES: Final = (Purpose.FEES, Purpose.SUSPENSE)
#: Lines and settlements of one payout, at most.
MOST_ROWS: Final = 60
_NOON: Final = time(12)
_MATCHING: Final = Actor.system("matching")


class LinkRefused(Exception):
    """These rows cannot be linked, and nothing was changed. ``message`` is a sentence in the reader's language."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SumsDiffer(LinkRefused):
    """The bank lines do not make what the settlements come to. ``difference`` is what is missing at the bank."""

    def __init__(self, difference: Money) -> None:
        if difference.minor > 0:
            words = _(
                "At the bank ¥%(amount)s are missing. Say where they are booked, or choose other rows."
            )
        else:
            words = _(
                "At the bank there are ¥%(amount)s too much. Say where they are booked, or choose other rows."
            )
        super().__init__(words % {"amount": Money(abs(difference.minor)).to_yuan()})
        self.difference = difference


class DayClosed(Exception):
    """The business day in which the payout was booked is closed."""

    def __init__(self, day: date) -> None:
        super().__init__(day.isoformat())
        self.day = day


def _held(rows: ScopedQuerySet[Settlement] | ScopedQuerySet[BankLine]) -> list[object]:
    """The rows, locked until the transaction ends, always in the order of their ids."""
    return list(rows.select_for_update(no_key=True).order_by("pk"))


def _settlements(ids: Collection[int]) -> list[Settlement]:
    found = _held(Settlement.objects.get_queryset().filter(pk__in=ids))
    rows = [row for row in found if isinstance(row, Settlement)]
    if len(rows) != len(set(ids)):
        raise Settlement.DoesNotExist
    if any(row.payout_id is not None or row.is_void for row in rows):
        raise LinkRefused(_("One of these settlements is linked already. Look at the page again."))
    if len({row.account_id for row in rows}) > 1:
        raise LinkRefused(
            _("These settlements are of different accounts. Link each with its own money.")
        )
    return rows


def _lines(ids: Collection[int]) -> list[BankLine]:
    found = _held(BankLine.objects.get_queryset().filter(pk__in=ids))
    rows = [row for row in found if isinstance(row, BankLine)]
    if len(rows) != len(set(ids)):
        raise BankLine.DoesNotExist
    if any(row.payout_id is not None for row in rows):
        raise LinkRefused(_("One of these bank lines is linked already. Look at the page again."))
    return rows


def link(
    *,
    line_ids: Sequence[int],
    settlement_ids: Sequence[int],
    difference_to: Purpose | None = None,
    note: str = "",
    is_inferred: bool = False,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> Payout:
    """Link bank lines with the settlements that they pay, and book the money from the platform to the bank.

    ``difference_to``: where a difference of the sums is booked (fees or suspense); without it they must be equal. Raises
    LinkRefused (SumsDiffer where the sums are at fault), NoOpenDay, Settlement.DoesNotExist, BankLine.DoesNotExist.
    """
    if not line_ids or not settlement_ids:
        raise LinkRefused(_("Choose at least one bank line and one settlement."))
    if max(len(line_ids), len(settlement_ids)) > MOST_ROWS:
        raise LinkRefused(_("Choose no more than %(most)d rows.") % {"most": MOST_ROWS})
    with transaction.atomic():
        settlements = _settlements(settlement_ids)
        lines = _lines(line_ids)
        settled = sum(row.net_minor for row in settlements)
        amount = sum(row.amount_minor for row in lines)
        difference = settled - amount
        if difference and difference_to not in DIFFERENCES:
            raise SumsDiffer(Money(difference))
        if not amount or not settled:
            raise LinkRefused(_("These rows come to nothing: there is no money to book."))
        last = max(row.day for row in lines)
        at = datetime.combine(last, _NOON, tzinfo=CHINA)
        payout: Payout = Payout.objects.create(
            account_id=settlements[0].account_id,
            is_inferred=is_inferred,
            amount_minor=amount,
            settled_minor=settled,
            difference_minor=difference,
            difference_purpose=difference_to.value if difference and difference_to else "",
            line_ids=[row.pk for row in lines],
            settlement_ids=[row.pk for row in settlements],
            at=at,
            booked_date=booking_date(at=at),
            note=note.strip()[:300],
            linked_by=member,
            linked_at=now,
        )
        payout.entry_id = _book(payout, kind="payout", sign=1, booked=payout.booked_date)
        payout.save(update_fields=["entry"])
        for row in settlements:
            row.payout_id, row.settled_minor = payout.pk, row.net_minor
        Settlement.objects.bulk_update(settlements, ["payout", "settled_minor"])
        BankLine.objects.filter(pk__in=payout.line_ids).update(payout=payout)
        _record(payout, "payout.linked", actor=actor, now=now)
    return payout


def _book(payout: Payout, *, kind: str, sign: int, booked: date) -> int:
    """Dr bank, Dr fees or suspense, Cr the platform's receivable; the other way round with ``sign`` −1."""
    lines = [
        Line(purpose=Purpose.BANK, amount=Money(sign * payout.amount_minor)),
        Line(
            purpose=Purpose.RECEIVABLE,
            amount=Money(-sign * payout.settled_minor),
            subject_id=payout.account_id,
        ),
    ]
    if payout.difference_minor:
        purpose = Purpose(payout.difference_purpose)
        lines.append(Line(purpose=purpose, amount=Money(sign * payout.difference_minor)))
    return post(
        kind=kind,
        subject_kind="payout",
        subject_id=payout.pk,
        at=payout.at,
        booked_date=booked,
        memo=_memo(payout),
        lines=lines,
    )


def _memo(payout: Payout) -> str:
    days = Settlement.objects.filter(pk__in=payout.settlement_ids).order_by("day")
    known = list(days.values_list("day", flat=True))
    first, last = known[0], known[-1]
    return f"{first:%Y-%m-%d}" if first == last else f"{first:%Y-%m-%d}…{last:%Y-%m-%d}"


@transaction.atomic
def unlink(*, payout_id: int, reason: str, member: User, actor: Actor, now: datetime) -> Payout:
    """Undo a payout by a reversing entry; its rows are free again. Once undone it stays as it is.

    Raises DayClosed where the day in which it was booked is closed, Payout.DoesNotExist.
    """
    payout: Payout = Payout.objects.select_for_update(no_key=True).get(pk=payout_id)
    if payout.undone_at is not None:
        return payout
    # The day is held from here on.
    if not claim_day(payout.booked_date):
        raise DayClosed(payout.booked_date)
    payout.undo_entry_id = _book(payout, kind="payout_undone", sign=-1, booked=payout.booked_date)
    payout.undone_by, payout.undone_at, payout.undo_reason = member, now, reason.strip()[:300]
    payout.save(update_fields=["undo_entry", "undone_by", "undone_at", "undo_reason"])
    Settlement.objects.filter(payout_id=payout_id).update(payout=None, settled_minor=None)
    BankLine.objects.filter(payout_id=payout_id).update(payout=None)
    _record(payout, "payout.undone", actor=actor, now=now)
    return payout


def _record(payout: Payout, action: str, *, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject_kind="payout",
        subject_id=payout.pk,
        actor=actor,
        at=now,
        data={
            "amount_minor": payout.amount_minor,
            "settled_minor": payout.settled_minor,
            "difference_minor": payout.difference_minor,
            "difference_to": payout.difference_purpose,
            "lines": payout.line_ids,
            "settlements": payout.settlement_ids,
            "inferred": payout.is_inferred,
            "reason": payout.undo_reason,
        },
    )


def follow_bill(*, day_id: int, now: datetime) -> None:
    """Compute what one bill decides, and match it with the bank."""
    if settle_bill(day_id=day_id, now=now) is not None:
        match_bank(now=now)


def follow_account(*, account_id: int, now: datetime) -> None:
    """Compute all that an account pays out by its terms as they are now, and match it with the bank."""
    if not PlatformAccount.objects.filter(pk=account_id).exists():
        return
    settle(account_id=account_id, now=now)
    match_bank(now=now)


def take_bank_file(
    *,
    bank_account_id: int,
    filename: str,
    content: bytes,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> tuple[BankImport, list[Payout]]:
    """Import a bank statement and match what is new in it at once: what was imported, and the payouts made.

    Raises BankFileRefused (nothing is stored then), BankAccount.DoesNotExist.
    """
    taken = import_bank_file(
        bank_account_id=bank_account_id,
        filename=filename,
        content=content,
        member=member,
        actor=actor,
        now=now,
    )
    return taken, match_bank(now=now) if taken.new else []


def match_bank(*, now: datetime) -> list[Payout]:
    """Link what can be meant in one way only, over all accounts of the merchant; the payouts made.

    A pair that was undone by a person is not made again.
    """
    accounts = list(PlatformAccount.objects.order_by("pk").defer("credentials_sealed"))
    terms = terms_of(accounts)
    owed = _owed()
    if not owed:
        return []
    undone = {
        (tuple(lines), tuple(settlements))
        for lines, settlements in Payout.objects.exclude(undone_at=None).values_list(
            "line_ids", "settlement_ids"
        )
    }
    made = []
    for pair in _certain(owed, terms):
        if (tuple(sorted(pair.lines)), tuple(sorted(pair.settlements))) in undone:
            continue
        try:
            payout = link(
                line_ids=pair.lines,
                settlement_ids=pair.settlements,
                is_inferred=True,
                member=None,
                actor=_MATCHING,
                now=now,
            )
        except (LinkRefused, NoOpenDay, Settlement.DoesNotExist):
            # Somebody was quicker, a bill has just changed, or no day is open; the next round sees it.
            continue
        made.append(payout)
    return made


def _certain(owed: Mapping[int, list[Owed]], terms: Mapping[int, SettlementTerms]) -> list[Pair]:
    first = min(one.due for rows in owed.values() for one in rows) - timedelta(days=1)
    lines = list(
        BankLine.objects.filter(payout=None, amount_minor__gt=0, day__gte=first).order_by("pk")
    )
    pairs: list[Pair] = []
    uses: Counter[int] = Counter()
    for account_id, rows in owed.items():
        taken, rivals = find_pairs(
            rows,
            _lines_of(terms[account_id], lines),
            window=timedelta(days=terms[account_id].window_days),
        )
        uses.update({pk for pair in [*taken, *rivals] for pk in pair.lines})
        pairs += taken
    # Two accounts of one platform may claim the same line.
    return [pair for pair in pairs if all(uses[pk] == 1 for pk in pair.lines)]


def _owed() -> Mapping[int, list[Owed]]:
    found: dict[int, list[Owed]] = {}
    rows = Settlement.objects.filter(payout=None, is_void=False, held_note="").exclude(net_minor=0)
    for pk, account, day, due, net in rows.order_by("account_id", "day", "pk").values_list(
        "pk", "account_id", "day", "due_date", "net_minor"
    ):
        found.setdefault(account, []).append(Owed(pk, day, due, net))
    return found


def _lines_of(terms: SettlementTerms, lines: Sequence[BankLine]) -> list[Arrived]:
    """The lines whose counterparty or memo names the account's platform."""
    return [
        Arrived(line.pk, line.day, line.amount_minor)
        for line in lines
        if names_platform(line, terms)
    ]
