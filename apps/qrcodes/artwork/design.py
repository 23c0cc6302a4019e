"""The look of codes as a shop chooses it. A design that could not be scanned cannot be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

from apps.qrcodes.artwork.colours import is_colour, luminance, symbol_contrast
from apps.qrcodes.artwork.coverage import bears, largest_patch, patch_edge, size_of, version_of
from apps.qrcodes.artwork.logos import Logo
from apps.qrcodes.artwork.matrix import Level, Matrix, modules
from apps.qrcodes.artwork.placard import Language
from apps.qrcodes.artwork.shapes import Shape

#: ISO/IEC 15415, grade B. Phones read less, but not at night, behind glass, or when the print has faded.
LEAST_CONTRAST: Final = 0.55
#: Finer modules run together on an office printer. In mm.
SMALLEST_MODULE_MM: Final = 0.4
#: What a logo may take of a code's width, in percent.
LOGO_PERCENT: Final = range(10, 31)
#: Levels that can spare a logo's modules and still repair a scratch.
LOGO_LEVELS: Final[tuple[Level, ...]] = ("Q", "H")


class DesignRefused(ValueError):
    """A design that would not scan: ``field`` is the choice to be changed, ``key`` the reason, ``facts`` its numbers.

    Keys: not_a_colour, unknown, inverted, too_little_contrast, level_too_low, logo_size, logo_too_large (most: percent),
    module_too_fine (module_mm), too_narrow (least_mm), unknown_format.
    """

    def __init__(self, field: str, key: str, **facts: float) -> None:
        self.field = field
        self.key = key
        self.facts = facts
        super().__init__(f"{field}: {key} {facts or ''}".rstrip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How codes look, whatever they say.

    ``foreground`` and ``background`` are the code's own colours, ``accent`` that of the field with the shop's name.
    ``logo_percent`` is what the logo's patch takes of the code's width, quiet zone left out. ``language`` and
    ``wallet_marks`` are for whoever writes the placard. Raises DesignRefused.
    """

    level: Level = "M"
    shape: Shape = "square"
    foreground: str = "#000000"
    background: str = "#FFFFFF"
    accent: str = "#206BC4"
    logo: Logo | None = None
    logo_percent: int = 20
    language: Language = "both"
    wallet_marks: bool = True

    def __post_init__(self) -> None:
        for field, allowed in (("level", Level), ("shape", Shape), ("language", Language)):
            if getattr(self, field) not in get_args(allowed):
                raise DesignRefused(field, "unknown")
        for field in ("foreground", "background", "accent"):
            if not is_colour(getattr(self, field)):
                raise DesignRefused(field, "not_a_colour")
        if luminance(self.foreground) > luminance(self.background):
            raise DesignRefused("foreground", "inverted")
        contrast = symbol_contrast(self.foreground, self.background)
        if contrast < LEAST_CONTRAST:
            raise DesignRefused("foreground", "too_little_contrast", contrast=contrast)
        if self.logo_percent not in LOGO_PERCENT:
            raise DesignRefused("logo_percent", "logo_size")
        if self.logo is not None and self.level not in LOGO_LEVELS:
            raise DesignRefused("level", "level_too_low")

    @property
    def is_plain(self) -> bool:
        """Black on white, nothing in the middle."""
        return (self.logo, self.foreground, self.background) == (
            None,
            "#000000",
            "#FFFFFF",
        )

    def matrix(self, link: str) -> Matrix:
        """The modules of ``link``, in the smallest version that holds it. Raises InvalidContent, DesignRefused (the
        logo covers more than that version bears)."""
        matrix = modules(link, self.level)
        self.patch(len(matrix))
        return matrix

    def patch(self, size: int) -> int:
        """Modules along the edge of the logo's patch on a code of ``size`` modules; 0 without logo. Raises DesignRefused."""
        if self.logo is None:
            return 0
        version = version_of(size)
        edge = patch_edge(size, self.logo_percent)
        if not bears(version, self.level, edge):
            most = most_percent(version, self.level)
            raise DesignRefused("logo_percent", "logo_too_large", most=most)
        return edge


def most_percent(version: int, level: Level) -> int:
    """The most that a logo may take of the width of a code of ``version``, in whole percent."""
    size = size_of(version)
    return max(
        (
            percent
            for percent in LOGO_PERCENT
            if patch_edge(size, percent) <= largest_patch(version, level)
        ),
        default=0,
    )


PLAIN: Final = Design()


def logo_box(logo: Logo, edge: float) -> tuple[float, float]:
    """Width and height of the logo within a patch of ``edge``: half a unit stays free on each side."""
    room = edge - 1
    scale = room / max(logo.width, logo.height)
    return logo.width * scale, logo.height * scale
