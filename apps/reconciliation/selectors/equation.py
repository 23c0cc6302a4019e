"""The explanation equation: platform net = sales − refunds − fees ± carry-in ± carry-out ± adjustments ± differences.

Every term is the sum of rows that can be opened, each with its part of the term, and the terms add up to the bill to the fen.
The large terms stand on the run as they were when it ran; ``Term.sum_of_rows`` adds up their rows anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import BigIntegerField, Case, F, Model, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from apps.platforms.gateway import LineKind
from apps.reconciliation.models import (
    CARRIED_OUT,
    Difference,
    DifferenceType,
    Match,
    ReconciliationRun,
)
from apps.reconciliation.selectors.carried import CARRIED, IS_CARRIED, REST
from apps.statements.models import StatementLine

#: Rows on a term's page.
TERM_PAGE: Final = 50
#: The left side, and the terms of the right side in their order.
BILL: Final = "bill"
TERMS: Final = (
    "sales",
    "refunds",
    "fees",
    "untold_fees",
    "carry_in",
    "carry_out",
    "adjustments",
    "differences",
)


def _zero(expression: Any) -> Coalesce:
    return Coalesce(expression, Value(0), output_field=BigIntegerField())


@dataclass(frozen=True, slots=True)
class TermRow:
    """One row of a term and its part of it in fen: a bill row, a pair that matches, or a difference."""

    part_minor: int
    line: StatementLine | None = None
    match: Match | None = None
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class TermPage:
    """Some rows of a term, and where the next ones begin ("": there are no more)."""

    rows: list[TermRow]
    after: str


@dataclass(frozen=True, slots=True)
class Term:
    """One term: ``amount_minor`` with its sign in the equation, and its rows, each annotated with its ``part``."""

    name: str
    amount_minor: int
    #: Name of the kind of row, and the rows.
    sources: Sequence[tuple[str, QuerySet[Any]]]

    def sum_of_rows(self) -> int:
        """The rows added up anew, in fen."""
        return sum(
            int(rows.order_by().aggregate(sum=Sum("part"))["sum"] or 0)
            for _kind, rows in self.sources
        )

    def count_rows(self) -> int:
        """How many rows there are; of the large terms this counts them all."""
        return sum(rows.order_by().count() for _kind, rows in self.sources)

    def page(self, *, after: str = "", size: int = TERM_PAGE) -> TermPage:
        """The rows behind ``after``, as an earlier page gave it. An ``after`` of another form begins anew."""
        kinds = [kind for kind, _rows in self.sources]
        kind, _, given = after.partition("-")
        start, last = 0, 0
        if kind in kinds and given.isascii() and given.isdecimal() and len(given) < 19:
            start, last = kinds.index(kind), int(given)
        found: list[TermRow] = []
        place = ""
        for name, rows in self.sources[start:]:
            chosen = rows.filter(pk__gt=last).order_by("pk")[: size + 1 - len(found)]
            for row in chosen:
                if len(found) == size:
                    return TermPage(found, place)
                found.append(_row(name, row))
                place = f"{name}-{row.pk}"
            last = 0
        return TermPage(found, "")

    def iterate(self) -> Iterator[TermRow]:
        """All rows, read in pieces: for files."""
        for kind, rows in self.sources:
            for row in rows.order_by("pk").iterator(chunk_size=2000):
                yield _row(kind, row)


def _row(kind: str, row: Model) -> TermRow:
    part = int(getattr(row, "part"))  # noqa: B009  # annotated by the queryset
    if isinstance(row, StatementLine):
        return TermRow(part, line=row)
    if isinstance(row, Match):
        return TermRow(part, match=row)
    assert isinstance(row, Difference)  # noqa: S101  # there is no other kind
    return TermRow(part, difference=row)


@dataclass(frozen=True, slots=True)
class Equation:
    """The bill's net after fees and what it is made of."""

    bill: Term
    terms: Sequence[Term]

    @property
    def platform_net_minor(self) -> int:
        """Payments − refunds − fees by the bill, in fen."""
        return self.bill.amount_minor

    @property
    def rest_minor(self) -> int:
        """What the terms leave unexplained: always zero."""
        return remainder(self.platform_net_minor, (term.amount_minor for term in self.terms))

    @property
    def every(self) -> list[Term]:
        """The left side and all of the right."""
        return [self.bill, *self.terms]


def remainder(platform_net_minor: int, parts: Iterable[int]) -> int:
    """What is left of the bill's net when the parts are taken from it."""
    return platform_net_minor - sum(parts)


@dataclass(frozen=True, slots=True)
class Parts:
    """What one bill row, one of ours, or a pair of both adds to the terms, in signed fen."""

    ours: int
    our_fees: int
    untold_fees: int
    gap: int


def parts(
    *, their: int | None, their_fee: int | None, our: int | None, our_fee: int | None
) -> Parts:
    """The law that the stored gaps follow: the four parts are together what the row is on the bill, after its fee.

    None for a side that has no row, or does not count on this day; ``their_fee`` is None as well where the bill does not
    tell it. Our fee then stands for it, and is a term of its own.
    """
    ours, fee = (our or 0, our_fee or 0) if our is not None else (0, 0)
    untold = fee if their is not None and their_fee is None else 0
    bill = (their or 0) - (their_fee or 0)
    return Parts(ours, -fee, untold, bill - ours + fee - untold)


def _lines(run: ReconciliationRun) -> QuerySet[StatementLine]:
    kinds = [LineKind.PAYMENT.value, LineKind.REFUND.value]
    signed = Case(
        When(kind=LineKind.REFUND.value, then=-F("amount_minor")),
        default=F("amount_minor"),
        output_field=BigIntegerField(),
    )
    rows = StatementLine.objects.filter(statement=run.statement_id or 0, kind__in=kinds)
    return rows.annotate(part=signed - _zero(F("fee_minor")))


def _matches(run: ReconciliationRun) -> QuerySet[Match]:
    return Match.objects.filter(run=run).select_related("line", "payment", "refund__payment")


def _differences(run: ReconciliationRun) -> QuerySet[Difference]:
    return Difference.objects.filter(run=run).select_related("line", "payment", "refund__payment")


def _sources(run: ReconciliationRun, name: str) -> Sequence[tuple[str, QuerySet[Any]]]:
    matches, differences = _matches(run), _differences(run)
    counted = differences.filter(our_minor__isnull=False)
    if name == BILL:
        return [("line", _lines(run))]
    if name == "sales":
        return [
            ("match", matches.filter(payment__isnull=False).annotate(part=F("amount_minor"))),
            ("difference", counted.filter(payment__isnull=False).annotate(part=F("our_minor"))),
        ]
    if name == "refunds":
        return [
            ("match", matches.filter(refund__isnull=False).annotate(part=-F("amount_minor"))),
            ("difference", counted.filter(refund__isnull=False).annotate(part=F("our_minor"))),
        ]
    if name == "fees":
        return [
            ("match", matches.annotate(part=-F("fee_minor"))),
            ("difference", counted.annotate(part=-F("our_fee_minor"))),
        ]
    if name == "untold_fees":
        silent = counted.filter(line__isnull=False, their_fee_minor__isnull=True)
        return [
            ("match", matches.filter(line__fee_minor__isnull=True).annotate(part=F("fee_minor"))),
            ("difference", silent.annotate(part=F("our_fee_minor"))),
        ]
    if name == "adjustments":
        taken = differences.exclude(adjusted_minor=0).annotate(part=F("adjusted_minor"))
        return [("difference", taken)]
    # What was taken over in whole is told by the adjustments.
    gaps = differences.annotate(part=REST).exclude(~Q(adjusted_minor=0), part=0)
    found = [("difference", gaps.filter(_which(name)))]
    if name == "carry_in":
        found.append(("carried", differences.filter(IS_CARRIED).annotate(part=CARRIED)))
    return found


def _which(name: str) -> Q:
    """Which differences a term is made of."""
    if name == "carry_in":
        return Q(type=DifferenceType.CARRY_IN)
    if name == "carry_out":
        return Q(type__in=CARRIED_OUT)
    return ~Q(type__in=[DifferenceType.CARRY_IN, *CARRIED_OUT])


def explain(run: ReconciliationRun) -> Equation | None:
    """The equation of a run; None for one made before there was an equation."""
    if run.sales_minor is None or run.refunds_minor is None or run.fees_minor is None:
        return None
    sums = Difference.objects.filter(run=run).aggregate(
        **{
            name: _zero(Sum(REST, filter=_which(name)))
            for name in ("carry_in", "carry_out", "differences")
        },
        carried=_zero(Sum(CARRIED)),
        adjustments=_zero(Sum("adjusted_minor")),
    )
    sums["carry_in"] += sums.pop("carried")
    amounts = {
        "sales": run.sales_minor,
        "refunds": -run.refunds_minor,
        "fees": -run.fees_minor,
        "untold_fees": run.untold_fee_minor or 0,
        **sums,
    }
    net = run.their_net_minor - (run.their_fee_minor or 0)
    return Equation(
        bill=Term(BILL, net, _sources(run, BILL)),
        terms=[Term(name, int(amounts[name]), _sources(run, name)) for name in TERMS],
    )


def find_term(equation: Equation, name: str) -> Term | None:
    """A term by its name; None where there is none of that name."""
    return next((term for term in equation.every if term.name == name), None)
