"""What a placard says, before anything is drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from apps.core.money import CNY, Money
from apps.qrcodes.artwork.fitting import TextTooLong, fit
from apps.qrcodes.artwork.fonts import BOLD, REGULAR, tidy
from apps.qrcodes.artwork.matrix import InvalidContent

#: A placard speaks to whoever stands before it, not to the member who prints it: its language is its own, and "both"
#: shows two at once. Hence the words below are data of the artwork and do not go through gettext.
Language = Literal["zh-hans", "en", "both"]

_LINK = re.compile(r"https?://[!-~]+")
_HEX_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


@dataclass(frozen=True, slots=True)
class WalletMark:
    """A wallet's name in both languages and a colour dark enough for white letters; never a trademarked logo.

    ``colour`` is for screens, ``inks`` (cyan, magenta, yellow, black from 0 to 1) for paper, where a computed mixture
    would come out dull.
    """

    chinese: str
    english: str
    colour: str
    inks: tuple[float, float, float, float]

    def label(self, language: Language) -> str:
        """The name to be printed in ``language``."""
        return {
            "zh-hans": self.chinese,
            "en": self.english,
            "both": f"{self.chinese} {self.english}",
        }[language]


#: By the wallet's code. A new wallet is one row here.
WALLET_MARKS: dict[str, WalletMark] = {
    "wechatpay": WalletMark("微信支付", "WeChat Pay", "#07803F", (0.86, 0.2, 0.95, 0.06)),
    "alipay": WalletMark("支付宝", "Alipay", "#1060CF", (0.92, 0.58, 0, 0)),
    "unionpay": WalletMark("云闪付", "UnionPay", "#C4151B", (0.14, 1, 0.95, 0.06)),
}
#: Named while no platform is connected that would say which.
USUAL_WALLETS = ("wechatpay", "alipay")

_CALL = ("扫码付款", "Scan to pay")
_RULER = ("按 100% 打印时长 50 毫米", "50 mm at 100%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placard:
    """One scenario's code with all that stands around it.

    ``link`` is the short https address in the code; ``scenario`` where it hangs ("桌号 12"); ``amount`` a fixed price or
    None; ``wallets`` platform codes out of WALLET_MARKS; ``accent`` a colour such as "#206BC4"; ``reference`` a short id
    printed small so that staff can tell codes apart. Texts are tidied on drawing, never escaped by the caller.

    Raises InvalidContent for the link and ValueError for the rest.
    """

    link: str
    shop_name: str
    store_name: str = ""
    scenario: str = ""
    amount: Money | None = None
    wallets: tuple[str, ...] = USUAL_WALLETS
    language: Language = "both"
    accent: str = "#206BC4"
    reference: str = ""

    def __post_init__(self) -> None:
        if not _LINK.fullmatch(self.link):
            raise InvalidContent("a placard's link is a plain ASCII web address")
        if self.language not in get_args(Language):
            raise ValueError(f"a placard speaks one of {get_args(Language)}, not {self.language!r}")
        if not _HEX_COLOUR.fullmatch(self.accent):
            raise ValueError(f"the accent is a colour such as #206BC4, not {self.accent!r}")
        unknown = [wallet for wallet in self.wallets if wallet not in WALLET_MARKS]
        if unknown:
            raise ValueError(f"no mark is known for {', '.join(unknown)}")

    @property
    def title(self) -> str:
        """Shop, store and scenario on one line."""
        return " · ".join(
            part for part in map(tidy, (self.shop_name, self.store_name, self.scenario)) if part
        )

    @property
    def place(self) -> str:
        """Store and scenario on one line."""
        return " · ".join(part for part in map(tidy, (self.store_name, self.scenario)) if part)

    @property
    def badge_place(self) -> str:
        """What stands under the main line of a badge: shop and store, or the store where the shop is that line."""
        shop = self.shop_name if tidy(self.scenario) else ""
        return " · ".join(part for part in map(tidy, (shop, self.store_name)) if part)

    @property
    def call(self) -> tuple[str, ...]:
        """The invitation to scan, in the placard's language or languages."""
        return spoken(_CALL, self.language)

    @property
    def ruler_note(self) -> str:
        """What the 50 mm line at the foot is for."""
        return " · ".join(spoken(_RULER, self.language))

    @property
    def price(self) -> str:
        """The fixed amount as customers read it, "¥1,234.50", or nothing."""
        if self.amount is None:
            return ""
        yuan, _, fen = self.amount.to_yuan().partition(".")
        mark = "¥" if self.amount.currency == CNY else f"{self.amount.currency} "
        return f"{mark}{int(yuan):,}.{fen}"

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that merchants wrote, untidied: what has to be printable."""
        return (self.shop_name, self.store_name, self.scenario, self.reference)


def spoken(words: tuple[str, str], language: Language) -> tuple[str, ...]:
    """Out of (Chinese, English) what ``language`` wants."""
    return {"zh-hans": words[:1], "en": words[1:], "both": words}[language]


@dataclass(frozen=True, slots=True)
class CaptionLine:
    """One centred line under an image, as parts of the image's width: ``size`` and ``baseline`` below the code."""

    text: str
    font: str
    size: float
    baseline: float
    grey: int


@dataclass(frozen=True, slots=True)
class Caption:
    """The lines under an image and the ``height`` they take, as a part of its width."""

    lines: tuple[CaptionLine, ...]
    height: float


#: The line of store and scenario under an image: its width, full and least size, and lines.
_PLACE_WIDTH, _PLACE_SIZE, _PLACE_LEAST, _PLACE_LINES = 0.9, 0.048, 0.03, 2


def place_fits(place: str) -> bool:
    """Whether store and scenario have room under an image; all else that ``caption`` sets is the same for a shop's every code."""
    try:
        fit(
            place,
            width=_PLACE_WIDTH,
            size=_PLACE_SIZE,
            smallest=_PLACE_LEAST,
            lines=_PLACE_LINES,
            font=REGULAR,
        )
    except TextTooLong:
        return False
    return True


def caption(placard: Placard) -> Caption:
    """Shop, place, invitation and price under a code image of width 1. Raises TextTooLong."""
    invitation = " ".join(placard.call)
    rows = (
        (tidy(placard.shop_name), BOLD, 0.078, 0.034, 2, 0),
        (placard.place, REGULAR, _PLACE_SIZE, _PLACE_LEAST, _PLACE_LINES, 0x33),
        (placard.price, BOLD, 0.09, 0.04, 1, 0),
        (invitation, REGULAR, 0.048, 0.03, 1, 0x33),
        (tidy(placard.reference), REGULAR, 0.03, 0.018, 1, 0x55),
    )
    lines: list[CaptionLine] = []
    y = 0.0
    for text, font, size, smallest, most, grey in rows:
        fitted = fit(text, width=_PLACE_WIDTH, size=size, smallest=smallest, lines=most, font=font)
        for line in fitted.lines:
            y += fitted.size * 1.3
            lines.append(CaptionLine(line, font, fitted.size, y - fitted.size * 0.3, grey))
        y += 0.008 if fitted.lines else 0
    return Caption(tuple(lines), y + 0.035)
