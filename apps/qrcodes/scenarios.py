"""What the house knows about each kind of scenario: its own questions, and what a new code of it begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.core.names import speaks_english
from apps.qrcodes.models import NoteMode, Pricing, ScenarioKind, ScenarioTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something only this kind of scenario asks; the answer is text in a version's ``details`` under ``key``."""

    key: str
    label: str | Promise
    help: str | Promise = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnQuestion:
    """A question of a merchant's own template, in one language or in two."""

    label: str
    label_en: str = ""

    def stored(self) -> dict[str, str]:
        """As the template keeps it; what was answered under a label is found again by it."""
        return {"key": self.label, "label": self.label, "label_en": self.label_en}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A kind of scenario: a sentence for whoever chooses, its questions, and fields of ``CodeTerms`` it begins with."""

    kind: str
    title: str | Promise
    icon: str
    lead: str | Promise
    example: str | Promise = ""
    questions: tuple[Question, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    #: Of the merchant's own.
    template_id: int | None = None


def _house(kind: ScenarioKind, icon: str, lead: str | Promise, **rest: Any) -> Template:
    return Template(kind=kind.value, title=kind.label, icon=icon, lead=lead, **rest)


HOUSE: Final[Mapping[str, Template]] = {
    one.kind: one
    for one in (
        _house(
            ScenarioKind.COUNTER,
            "building-store",
            _("Stands beside the till. The customer types the amount."),
            example=_("Front counter"),
        ),
        _house(
            ScenarioKind.TABLE,
            "armchair",
            _("One code a table, so that each payment says where it was eaten."),
            example=_("Table 12"),
            questions=(
                Question(key="number", label=_("Table number")),
                Question(key="area", label=_("Area"), help=_("Such as “Terrace”.")),
            ),
        ),
        _house(
            ScenarioKind.EVENT,
            "calendar-event",
            _("For a stall or a ticket desk on certain days; it ends by itself."),
            example=_("Night market"),
            questions=(
                Question(key="place", label=_("Place")),
                Question(key="capacity", label=_("Guests expected")),
            ),
        ),
        _house(
            ScenarioKind.CASHIER,
            "id-badge-2",
            _("One code a cashier, so that takings can be told apart."),
            example=_("Till 2"),
            questions=(Question(key="staff", label=_("Staff member")),),
        ),
        _house(
            ScenarioKind.PRODUCT,
            "tag",
            _("One price, or a short list of prices, for a thing that is sold often."),
            example=_("Coffee"),
            questions=(Question(key="sku", label=_("Article number")),),
            defaults={"pricing": Pricing.FIXED.value, "note_mode": NoteMode.NONE.value},
        ),
        _house(
            ScenarioKind.DONATION,
            "heart-handshake",
            _("The customer chooses an amount from a list."),
            example=_("Tip"),
            questions=(Question(key="purpose", label=_("Purpose")),),
            defaults={
                "pricing": Pricing.LIST.value,
                "choices": [
                    {"name": "¥5", "minor": 500},
                    {"name": "¥10", "minor": 1_000},
                    {"name": "¥20", "minor": 2_000},
                    {"name": "¥50", "minor": 5_000},
                ],
            },
        ),
        _house(
            ScenarioKind.RIDER,
            "moped",
            _("Goes with a rider, who collects at the door. The customer writes the order number."),
            example=_("Rider 3"),
            questions=(
                Question(key="rider", label=_("Rider")),
                Question(key="area", label=_("Area")),
            ),
            defaults={"note_mode": NoteMode.REQUIRED.value, "note_label": "订单号"},
        ),
        _house(
            ScenarioKind.CUSTOM,
            "sparkles",
            _("Anything else, with terms of your own."),
        ),
    )
}


def own(row: ScenarioTemplate) -> Template:
    """A merchant's own template, in the page's language."""
    english = speaks_english()
    return Template(
        kind=row.kind,
        title=(row.name_en if english else "") or row.name,
        icon=HOUSE[row.kind].icon,
        lead=HOUSE[row.kind].lead,
        questions=tuple(
            Question(key=one["key"], label=(one["label_en"] if english else "") or one["label"])
            for one in row.fields
        ),
        defaults=row.defaults,
        template_id=row.pk,
    )


def questions_of(kind: str, template: ScenarioTemplate | None) -> Sequence[Question]:
    """What is asked about a code of this kind, or by the merchant's own template."""
    return HOUSE[kind].questions if template is None else own(template).questions
