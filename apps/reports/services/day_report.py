"""The report of a closed day as PDF, for the binder: figures, what was accepted, and the hashes of the day's files.

The same closing gives the same bytes: nothing in it tells when it was drawn.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import Any, Final

from django.utils.html import escape
from django.utils.translation import gettext as _
from django.utils.translation import override, pgettext
from reportlab.lib.colors import HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from apps.core.clock import CHINA
from apps.core.money import Money
from apps.ledger.selectors import Period, period_balances
from apps.merchants.models import Merchant
from apps.qrcodes.artwork.fonts import BOLD, REGULAR, font, font_lock, missing_glyphs, tidy
from apps.reconciliation.close_wording import told
from apps.reconciliation.day_files import label_of
from apps.reconciliation.models import DayClose
from apps.reports.selectors.day import DayShare, shares_of_accounts, shares_of_stores
from apps.reports.services.exports import HEADERS

_INK: Final = HexColor("#1d273b")
_GREY: Final = HexColor("#667382")
_LINE: Final = HexColor("#cbd2dc")
#: Between the margins, less the frame's own padding of six points on each side.
_WIDTH: Final = A4[0] - 36 * mm - 12
_BODY: Final = ParagraphStyle(
    "body",
    fontName=REGULAR,
    fontSize=9,
    leading=13,
    textColor=_INK,
    wordWrap="CJK",
    bulletFontName=REGULAR,
)
_SMALL: Final = ParagraphStyle("small", parent=_BODY, fontSize=7.5, leading=11, textColor=_GREY)
_RIGHT: Final = ParagraphStyle("right", parent=_BODY, alignment=TA_RIGHT)
_HEAD: Final = ParagraphStyle("head", parent=_SMALL, fontName=BOLD)
_HEAD_RIGHT: Final = ParagraphStyle("head-right", parent=_HEAD, alignment=TA_RIGHT)
_TITLE: Final = ParagraphStyle("title", parent=_BODY, fontName=BOLD, fontSize=17, leading=23)
_SECTION: Final = ParagraphStyle(
    "section", parent=_BODY, fontName=BOLD, fontSize=11, leading=16, spaceBefore=12, spaceAfter=4
)


def _plain(text: object) -> str:
    """Text that the font can print: what it lacks becomes a question mark."""
    line = tidy(str(text))
    lacking = set(missing_glyphs(line))
    return "".join("?" if character in lacking else character for character in line)


def _p(text: object, style: ParagraphStyle = _BODY) -> Paragraph:
    return Paragraph(escape(_plain(text)), style)


def _yuan(minor: int) -> str:
    return Money(minor).display()


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    widths: Sequence[float],
    *,
    texts: Collection[int] = (0,),
    across: Collection[int] = (),
) -> Table:
    """A table whose columns are figures but for ``texts``; the heading comes again on each page.

    Of the rows named by ``across`` the first cell takes the whole width, and they stay with the row before.
    """
    cells = [[_p(v, _HEAD if n in texts else _HEAD_RIGHT) for n, v in enumerate(head)]]
    cells += [[_p(v, _BODY if n in texts else _RIGHT) for n, v in enumerate(row)] for row in rows]
    total = sum(widths)
    table = Table(
        cells, colWidths=[_WIDTH * width / total for width in widths], repeatRows=1, hAlign="LEFT"
    )
    lines = [number + 1 for number in across]
    table.setStyle(
        TableStyle(
            [
                ("FONTNAME", (0, 0), (-1, -1), REGULAR),
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, _INK),
                ("LINEBELOW", (0, 1), (-1, -1), 0.3, _LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 2),
                ("TOPPADDING", (0, 0), (-1, -1), 2.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
                # A text after figures that stand right must not touch them.
                *(("LEFTPADDING", (n, 0), (n, -1), 9) for n in texts if n),
                *(("SPAN", (0, line), (-1, line)) for line in lines),
                *(("NOSPLIT", (0, line - 1), (0, line)) for line in lines),
                *(("LINEBELOW", (0, line - 1), (-1, line - 1), 0.3, white) for line in lines),
                *(("TOPPADDING", (0, line), (-1, line), 0) for line in lines),
            ]
        )
    )
    return table


def _facts(rows: Sequence[tuple[str, str]]) -> Table:
    cells = [[_p(name, _SMALL), _p(value)] for name, value in rows]
    table = Table(cells, colWidths=[_WIDTH * 0.24, _WIDTH * 0.76], hAlign="LEFT")
    table.setStyle(
        TableStyle(
            [
                ("FONTNAME", (0, 0), (-1, -1), REGULAR),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
            ]
        )
    )
    return table


def _shares(title: str, what: str, shares: Sequence[DayShare]) -> list[Flowable]:
    if not shares:
        return []
    amount = _("Amount")
    head = [what, _("Payments"), amount, _("Refunds"), amount, _("Net"), _("Estimated fees")]
    rows = [
        [
            row.name,
            f"{row.payment_count:,}",
            _yuan(row.payment_minor),
            f"{row.refund_count:,}",
            _yuan(-row.refund_minor),
            _yuan(row.net_minor),
            _yuan(row.fee_minor),
        ]
        for row in shares
    ]
    return [_p(title, _SECTION), _table(head, rows, (30, 10, 19, 10, 17, 19, 15))]


def _ledger(close: DayClose) -> list[Flowable]:
    moved = [
        row for row in period_balances(Period(close.day, close.day)) if row.debit or row.credit
    ]
    rows: list[list[object]] = [
        [f"{row.account.code} {row.account.name}", _yuan(row.debit), _yuan(row.credit)]
        for row in moved
    ]
    rows.append(
        [
            _("Total"),
            _yuan(sum(row.debit for row in moved)),
            _yuan(sum(row.credit for row in moved)),
        ]
    )
    return [
        _p(pgettext("day file", "Journal"), _SECTION),
        _table([pgettext("ledger", "Account"), _("Debit"), _("Credit")], rows, (60, 20, 20)),
    ]


def _checklist(close: DayClose) -> list[Flowable]:
    rows = [
        [
            row["title"],
            row["mark"],
            str(row["count"] or ""),
            row["reason"],
        ]
        for row in told(close.checklist)
    ]
    head = [_("Before the day was closed"), _("State"), _("Rows"), _("Why it was accepted")]
    return [_p(_("Checklist"), _SECTION), _table(head, rows, (36, 14, 8, 42), texts=(0, 1, 3))]


def _files(close: DayClose) -> list[Flowable]:
    rows = []
    for file in close.files.exclude(name="report").order_by("pk"):
        rows.append(
            [
                f"{label_of(file.name)} · {file.filename}",
                "" if file.row_count is None else f"{file.row_count:,}",
                "" if file.amount_minor is None else _yuan(file.amount_minor),
                f"{file.byte_count:,}",
            ]
        )
        rows.append([f"SHA-256 {file.sha256}", "", "", ""])
    head = [_("File"), _("Rows"), _("Control sum"), _("Bytes")]
    hashes = range(1, len(rows), 2)
    return [
        _p(_("Files of this closing"), _SECTION),
        _table(head, rows, (64, 10, 15, 11), across=hashes),
    ]


def _title(close: DayClose) -> str:
    return " ".join([_("Day close"), close.day.isoformat()])


def _story(close: DayClose, merchant: Merchant) -> list[Flowable]:
    closed_at = f"{close.closed_at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"
    by = close.closed_by.display_name if close.closed_by else _("by itself")
    starts = f"{close.day_starts_at:%H:%M}"
    return [
        _p(merchant.name, _SMALL),
        _p(_title(close), _TITLE),
        Spacer(1, 4),
        _facts(
            [
                (_("Version"), str(close.version)),
                (_("Closed at"), f"{closed_at} ({close.zone}) · {by}"),
                (_("Business day"), f"{close.day.isoformat()} {starts} ({close.zone})"),
                (_("Payments"), f"{close.payment_count:,} · {_yuan(close.payment_minor)}"),
                (_("Refunds"), f"{close.refund_count:,} · {_yuan(-close.refund_minor)}"),
                (_("Net"), _yuan(close.net_minor)),
                (_("Fees"), _yuan(close.fee_minor)),
                (_("Journal entries"), f"{close.entry_count:,} · {_yuan(close.debit_minor)}"),
                (_("Bill rows that match"), f"{close.matched_count:,}"),
                (pgettext("day file", "Differences"), f"{close.difference_count:,}"),
            ]
        ),
        *_shares(_("By platform account"), _("Platform account"), shares_of_accounts(close.day)),
        *_shares(_("By store"), _("Store"), shares_of_stores(close.day)),
        *_ledger(close),
        *_checklist(close),
        *_files(close),
        Spacer(1, 10),
        _p(
            _(
                "This report and the files it names were written once when the day was closed, and are given out unchanged."
            ),
            _SMALL,
        ),
    ]


def render_report(close: DayClose, *, headers: str = "zh") -> bytes:
    """The report of a closing, in the language of the files. The other files must be there: it names their hashes."""
    merchant = Merchant.objects.get(pk=close.merchant_id)
    out = io.BytesIO()
    with override(HEADERS[headers] or "en"), font_lock:
        for name in (REGULAR, BOLD):
            font(name)
        title = _title(close)
        foot = _plain(
            " · ".join(
                [merchant.name, title, _("Version %(version)d") % {"version": close.version}]
            )
        )

        def number_page(canvas: Any, document: Any) -> None:
            canvas.setFont(REGULAR, 7.5)
            canvas.setFillColor(_GREY)
            canvas.drawString(18 * mm, 10 * mm, foot)
            canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, str(document.page))

        document = SimpleDocTemplate(
            out,
            pagesize=A4,
            leftMargin=18 * mm,
            rightMargin=18 * mm,
            topMargin=16 * mm,
            bottomMargin=18 * mm,
            title=title,
            author=tidy(merchant.name),
            creator="Merchant Portal",
            producer="Merchant Portal",
            lang="zh-CN" if headers == "zh" else "en",
            # Without dates and with a fixed number.
            invariant=1,
            # No page names a font that is not in the file.
            initialFontName=REGULAR,
        )
        document.build(
            _story(close, merchant),
            onFirstPage=number_page,
            onLaterPages=number_page,
        )
    return out.getvalue()
