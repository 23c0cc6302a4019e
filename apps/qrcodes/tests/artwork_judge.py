"""An independent eye for artwork: another program's decoder and renderer. Ours never judges itself."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import zxingcpp
from PIL import Image, ImageDraw

from apps.core.money import Money
from apps.qrcodes.artwork import Placard

LINK = "https://pay.example.com/q/Ab3dE7xK9m"
SVG = "{http://www.w3.org/2000/svg}"

needs_pdftoppm = pytest.mark.skipif(
    shutil.which("pdftoppm") is None, reason="pdftoppm (poppler-utils) is not installed"
)


def placard(**changes: object) -> Placard:
    """A usual placard of a noodle shop, with ``changes``."""
    facts: dict[str, object] = {
        "link": LINK,
        "shop_name": "老王面馆",
        "store_name": "中关村店",
        "scenario": "桌号 12",
        "reference": "Q-7F3K",
        "amount": Money(128850),
    }
    return Placard(**{**facts, **changes})  # type: ignore[arg-type]


def decode(image: Image.Image) -> list[str]:
    """The texts of all QR codes that zxing-cpp sees."""
    return [
        found.text
        for found in zxingcpp.read_barcodes(
            image.convert("L"), formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
        )
    ]


def open_png(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def code_box(image: Image.Image) -> tuple[int, int, int]:
    """Left, top and edge of the one code on an upright image, in pixels, as the decoder saw it."""
    (found,) = zxingcpp.read_barcodes(image.convert("L"))
    corner, end = found.position.top_left, found.position.top_right
    return corner.x, corner.y, end.x - corner.x


def quiet_zone(image: Image.Image) -> float:
    """The smallest white margin around the dark pixels of a bare code image, in modules."""
    dark = image.convert("L").point(lambda value: 255 if value < 128 else 0)
    box = dark.getbbox()
    assert box is not None
    left, top, right, bottom = box
    # The outer square of the top left finder pattern is seven modules long.
    row = [bool(dark.getpixel((x, top))) for x in range(left, right)]
    module = row.index(False) / 7
    return min(left, top, image.width - right, image.height - bottom) / module


def rasterise(svg: bytes, *, scale: int) -> Image.Image:
    """Draw the paths of our SVG with Pillow, ``scale`` pixels a unit; text is left out."""
    root = ET.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    sheet = Image.new("L", (round(width * scale), round(height * scale)), 127)
    pen = ImageDraw.Draw(sheet)
    for path in root.iter(f"{SVG}path"):
        colour = {"#fff": 255, "#000": 0}[path.attrib["fill"]]
        data = path.attrib["d"]
        page = re.fullmatch(r"M0 0h([\d.]+)v([\d.]+)H0z", data)
        rectangles = (
            [(0.0, 0.0, float(page[1]), float(page[2]))]
            if page
            else [
                (float(x), float(y), float(length), 1.0)
                for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", data)
            ]
        )
        for x, y, across, down in rectangles:
            pen.rectangle(
                (x * scale, y * scale, (x + across) * scale - 1, (y + down) * scale - 1),
                fill=colour,
            )
    return sheet


def rasterise_pdf(data: bytes, folder: Path, *, dpi: int) -> list[Image.Image]:
    """Every page of a PDF as poppler draws it."""
    subprocess.run(
        ["pdftoppm", "-r", str(dpi), "-png", "-", str(folder / f"page{dpi}")],
        input=data,
        check=True,
        capture_output=True,
    )
    return [open_png(page.read_bytes()) for page in sorted(folder.glob(f"page{dpi}-*.png"))]
