"""The look of a scenario's code: images for screens and sheets for print. No models, no requests, no clock.

The same placard in the same design gives the same bytes, always: artwork can be compared, cached and hashed.
"""

from apps.qrcodes.artwork.design import PLAIN, Design, DesignRefused
from apps.qrcodes.artwork.documents import PAPERS, Paper, render_pdf, write_pdf
from apps.qrcodes.artwork.fitting import TextTooLong
from apps.qrcodes.artwork.fonts import UnprintableText, missing_glyphs
from apps.qrcodes.artwork.formats import FORMATS, Format, format_of
from apps.qrcodes.artwork.images import picture_facts, render_picture, render_png
from apps.qrcodes.artwork.logos import Logo, LogoRefused, read_logo
from apps.qrcodes.artwork.matrix import QUIET_ZONE, InvalidContent, qr_png, qr_svg
from apps.qrcodes.artwork.placard import USUAL_WALLETS, WALLET_MARKS, Language, Placard, WalletMark
from apps.qrcodes.artwork.preview import render_preview
from apps.qrcodes.artwork.vectors import render_svg

__all__ = [
    "FORMATS",
    "PAPERS",
    "PLAIN",
    "QUIET_ZONE",
    "USUAL_WALLETS",
    "WALLET_MARKS",
    "Design",
    "DesignRefused",
    "Format",
    "InvalidContent",
    "Language",
    "Logo",
    "LogoRefused",
    "Paper",
    "Placard",
    "TextTooLong",
    "UnprintableText",
    "WalletMark",
    "format_of",
    "missing_glyphs",
    "picture_facts",
    "qr_png",
    "qr_svg",
    "read_logo",
    "render_pdf",
    "render_picture",
    "render_png",
    "render_preview",
    "render_svg",
    "write_pdf",
]
