"""Why a design, a logo or a print is refused, in sentences that say what to do."""

from __future__ import annotations

from django.utils.translation import gettext as _

from apps.qrcodes.artwork import DesignRefused, LogoRefused
from apps.qrcodes.artwork.design import SMALLEST_MODULE_MM


def design_sentence(refused: DesignRefused) -> str:
    """Why these choices do not go together."""
    facts = refused.facts
    match refused.key:
        case "not_a_colour":
            return _("Write the colour as # and six digits or letters A to F, such as #206BC4.")
        case "inverted":
            return _(
                "The code must be darker than its background: many phones do not read light codes on dark."
            )
        case "too_little_contrast":
            return _(
                "The contrast between code and background is %(contrast)d percent; scanners need 55."
                " Take a darker code or a lighter background."
            ) % {"contrast": int(facts["contrast"] * 100)}
        case "level_too_low":
            return _(
                "A logo covers part of the code, so it needs error correction Q or H. Choose one of these, or take the logo out."
            )
        case "logo_size":
            return _("A logo takes 10 to 30 percent of the code's width.")
        case "logo_too_large" if facts["most"]:
            return _(
                "The logo would cover more than this level can repair. Take at most %(most)d percent of the width, or level H."
            ) % {"most": int(facts["most"])}
        case "logo_too_large":
            return _("This code has no room for a logo at this level. Take level H, or no logo.")
        case "module_too_fine":
            return _(
                "At this size one module would be %(module).2f mm; printers need %(least).1f mm."
                " Choose a larger format, a lower level, or shorter names."
            ) % {"module": facts["module_mm"], "least": SMALLEST_MODULE_MM}
        case "too_narrow":
            return _(
                "At this resolution the modules would be too fine to print. Make it at least %(least)d mm wide."
            ) % {"least": int(facts["least_mm"])}
        case "too_many_pixels":
            return _(
                "That is more pixels than we draw. At this resolution it may be %(most)d mm wide."
            ) % {"most": int(facts["most_mm"])}
        case "unusual_size":
            return _("A picture is 15 to 500 mm wide, at 150, 300 or 600 dpi.")
        case "name_taken":
            return _("Another design has this name. Choose another.")
        case "too_many":
            return _("There are %(most)d designs already. Delete one that is no longer used.") % {
                "most": int(facts["most"])
            }
        case _other:
            return _("Choose one of what is offered.")


def logo_sentence(refused: LogoRefused) -> str:
    """Why a file cannot be the logo."""
    match refused.key:
        case "empty":
            return _("The file is empty.")
        case "too_many_bytes":
            return _(
                "The file is larger than 4 MB. Save the logo smaller; 400 pixels wide is enough."
            )
        case "drawing":
            return _(
                "This is an SVG drawing, which may hold scripts and is not taken. Save the logo as PNG."
            )
        case "too_many_pixels":
            return _(
                "The picture has more than 25 million pixels. Make it smaller; 400 pixels wide is enough."
            )
        case "too_small":
            return _("The picture is under 32 pixels wide or high and would print as a blur.")
        case "animated":
            return _("The picture moves. Save one frame of it as PNG.")
        case "damaged":
            return _("The picture is damaged or incomplete. Save it again and upload the new file.")
        case "blank":
            return _("The picture is fully transparent: there is nothing to print.")
        case _other:
            return _("This is not a PNG, JPEG or WebP picture. Save the logo in one of these.")
