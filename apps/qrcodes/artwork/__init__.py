"""The look of a scenario's code: images for screens and placards for print. No models, no requests, no clock.

The same placard gives the same bytes, always: artwork can be compared, cached and hashed.
"""

from apps.qrcodes.artwork.documents import PAPERS, Paper, render_pdf
from apps.qrcodes.artwork.fitting import TextTooLong
from apps.qrcodes.artwork.fonts import UnprintableText, missing_glyphs
from apps.qrcodes.artwork.images import render_png
from apps.qrcodes.artwork.matrix import QUIET_ZONE, InvalidContent, qr_png, qr_svg
from apps.qrcodes.artwork.placard import USUAL_WALLETS, WALLET_MARKS, Language, Placard, WalletMark
from apps.qrcodes.artwork.vectors import render_svg

__all__ = [
    "PAPERS",
    "QUIET_ZONE",
    "USUAL_WALLETS",
    "WALLET_MARKS",
    "InvalidContent",
    "Language",
    "Paper",
    "Placard",
    "TextTooLong",
    "UnprintableText",
    "WalletMark",
    "missing_glyphs",
    "qr_png",
    "qr_svg",
    "render_pdf",
    "render_png",
    "render_svg",
]
