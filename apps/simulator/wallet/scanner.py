"""Reading codes from pictures, and saying what a code is for."""

from __future__ import annotations

import io
from dataclasses import dataclass

import zxingcpp
from django.core.files.uploadedfile import UploadedFile
from PIL import Image, UnidentifiedImageError

from apps.simulator.wallet.wallets import WALLETS

MAX_BYTES = 8 * 1024 * 1024
MAX_PIXELS = 40_000_000  # an A4 placard at 400 dpi has 15 million
MAX_CODE = 1024
FORMATS = ("PNG", "JPEG")
QR_CODES = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)


class Unreadable(Exception):
    """No code can be taken from this; the message is meant for the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A code's text, and the wallet that it is made for: "" if it is a link for any wallet."""

    text: str
    platform: str

    @property
    def is_link(self) -> bool:
        """Whether the code is a page to open, not something to pay."""
        return self.platform == ""


def read_picture(upload: UploadedFile[bytes]) -> str:
    """The text of the one QR code in a PNG or JPEG. Raises Unreadable."""
    if upload.size is None or upload.size > MAX_BYTES:
        raise Unreadable("图片超过 8 MB，请换一张小一些的。The picture is larger than 8 MB.")
    try:
        with Image.open(io.BytesIO(upload.read()), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Unreadable("图片尺寸过大。The picture has too many pixels.")
            grey = _flat(picture)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise Unreadable("请上传 PNG 或 JPEG 图片。Only PNG and JPEG pictures.") from None
    except (OSError, SyntaxError, ValueError):
        raise Unreadable("图片已损坏，无法读取。The picture is damaged.") from None
    texts = {found.text for found in zxingcpp.read_barcodes(grey, formats=QR_CODES) if found.text}
    if not texts:
        raise Unreadable("没有找到二维码。No QR code in this picture.")
    if len(texts) > 1:
        raise Unreadable("图片里有多个二维码，请只留一个。There are several codes; crop it to one.")
    return texts.pop()


def _flat(picture: Image.Image) -> Image.Image:
    """Grey on white: transparent pictures would otherwise be read as black on black."""
    if picture.mode in {"RGBA", "LA", "P", "PA"}:
        coloured = picture.convert("RGBA")
        ground = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(ground, coloured).convert("L")
    return picture.convert("L")


def classify(text: str) -> Scanned:
    """Say for which wallet a code is. Raises Unreadable for what no wallet understands."""
    code = text.strip()
    if not code:
        raise Unreadable("请粘贴链接或选择图片。Paste a link or choose a picture.")
    if len(code) > MAX_CODE or any(ord(sign) < 32 for sign in code):
        raise Unreadable("这不是有效的二维码内容。This is not the content of a code.")
    lower = code.lower()
    for wallet in WALLETS.values():
        if lower.startswith(wallet.codes):
            return Scanned(text=code, platform=wallet.platform)
    if lower.startswith(("http://", "https://")):
        return Scanned(text=code, platform="")
    raise Unreadable("钱包不认识这种二维码。The wallet does not know this kind of code.")
