"""What pages say about printed formats: their names, their measures, a picture of them."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from django.utils.translation import gettext as _

from apps.qrcodes.artwork import (
    FORMATS,
    QUIET_ZONE,
    Design,
    DesignRefused,
    Format,
    InvalidContent,
    Placard,
    TextTooLong,
    UnprintableText,
    render_preview,
    render_svg,
)
from apps.qrcodes.artwork.fonts import require_printable
from apps.qrcodes.printing import missing_words, too_long_words
from apps.qrcodes.refusals import design_sentence

#: What keeps a placard from being printed as it is.
Unprintable = (UnprintableText, TextTooLong, InvalidContent, DesignRefused)


def format_name(form: Format) -> str:
    """The format in words."""
    match form.kind:
        case "placard":
            return _("Placard %(paper)s") % {"paper": form.key}
        case "tent":
            return _("Table tent")
        case "badge":
            return _("Badge")
        case _other:
            words = _("Round stickers %(mm)d mm") if form.round else _("Square stickers %(mm)d mm")
            return words % {"mm": form.piece[0]}


def format_hint(form: Format) -> str:
    """What a print shop or a member with scissors has to know."""
    match form.kind:
        case "placard":
            return _("Print at full size and check the 50 mm line.")
        case "tent":
            return _("Two on A4: cut along the line, fold along the dashes.")
        case "badge":
            return _("The slot for a lanyard is marked.")
        case _other:
            return _("%(count)d on A4, with crop marks and %(bleed)d mm bleed.") % {
                "count": form.pieces,
                "bleed": form.bleed,
            }


def problem_words(error: Exception) -> str:
    """Why something cannot be printed."""
    match error:
        case UnprintableText():
            return missing_words(error.characters)
        case TextTooLong():
            return too_long_words(error.text[:80])
        case DesignRefused():
            return design_sentence(error)
        case _other:
            return _("The link is too long for a code.")


def names_problem(placard: Placard) -> str:
    """Which characters of the names the font lacks; "" where it has all."""
    try:
        require_printable(*placard.texts)
    except UnprintableText as error:
        return problem_words(error)
    return ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A format with the measures that one code has on it; ``problem`` says why it cannot be printed."""

    key: str
    name: str
    hint: str
    size: str
    module_mm: float
    code_mm: float
    problem: str


def sheets_of(placard: Placard, design: Design) -> list[Sheet]:
    """Every format for a code in a design."""
    count = len(design.matrix(placard.link)) + 2 * QUIET_ZONE
    unprintable = names_problem(placard)
    rows = []
    for form in FORMATS.values():
        module, problem = 0.0, unprintable
        if not problem:
            try:
                module = form.module_mm(placard, design)
            except Unprintable as error:
                problem = problem_words(error)
        width, height = form.piece
        size = f"Ø {width:g} mm" if form.round else f"{width:g} × {height:g} mm"
        rows.append(
            Sheet(
                form.key,
                format_name(form),
                format_hint(form),
                size,
                module,
                module * count,
                problem,
            )
        )
    return rows


def data_url(svg: bytes) -> str:
    """An SVG to stand in an image's address: nothing in it runs, and no second request is made."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def preview_url(placard: Placard, design: Design, *, key: str) -> tuple[str, str]:
    """A picture of the page in a format, and why the page cannot be printed (then the picture shows the bare code)."""
    problem = names_problem(placard)
    if not problem:
        try:
            return data_url(render_preview(FORMATS[key], placard, design)), ""
        except Unprintable as error:
            problem = problem_words(error)
    return data_url(render_svg(placard, captioned=False, design=design)), problem
