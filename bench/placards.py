"""Printing codes: ``--rows`` placards as one A4 PDF, and what that holds in memory.

The floor is the same number of matrices by ``qrcode`` and the same pages drawn by reportlab's canvas with every place, size and
word known beforehand. Ours fits the words, checks the glyphs, makes the matrices and writes page by page. Every page of ours is
counted, and some are drawn by poppler and read by an independent decoder, where both are installed.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO

import django
import qrcode
import zxingcpp
from PIL import Image
from pypdf import PdfReader
from reportlab.lib.colors import CMYKColor
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

if __name__ == "__main__":
    django.setup()

from apps.core.doors import ALPHABET
from apps.core.money import Money
from apps.qrcodes.artwork import FORMATS, Placard, write_pdf
from apps.qrcodes.artwork.fonts import BOLD, REGULAR, font
from bench.frame.processes import answer, orders, running
from bench.frame.result import Options, Result, middle_pair, peak_rss_mb, say, spread

#: The targets: times the floor, and how much more the most memory may be than for a tenth of the pages.
MOST = 1.25
MOST_MORE_MB = 15.0
#: Pages that are drawn and read again.
READ = 5


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--repeats", type=int, default=5)


def run(options: Options) -> Result:
    """Floor and ours by turns, in a process each; at last the memory of ours in fresh processes."""
    rows = options.rows or 1000
    pairs: list[tuple[float, float]] = []
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "placards.pdf")
        with running("bench.placards", "floor") as floor, running("bench.placards", "ours") as ours:
            for turn in range(options.given.repeats + 1):
                # The first is for imports, fonts and caches; each has links that no cache knows.
                count = rows if turn else min(rows, 20)
                order = {"seed": options.seed + turn, "rows": count, "out": out}
                bare = floor.ask(**order)["seconds"]
                done = ours.ask(**order)["seconds"]
                if turn:
                    pairs.append((bare, done))
                    say(f"  {turn}: floor {bare:.3f} s, ours {done:.3f} s, ratio {done / bare:.2f}")
                    wrong += _check(Path(out), seed=options.seed + turn, rows=count)
        peaks: dict[int, float] = {}
        for count in (max(rows // 10, 1), rows):
            with running("bench.placards", "ours") as fresh:
                told = fresh.ask(seed=options.seed, rows=count, out=out)
                peaks[count] = told["peak_rss_mb"]
                say(f"  {count} pages: {told['peak_rss_mb']:.1f} MB at most")
    floor_s, ours_s = middle_pair(pairs)
    small, large = min(peaks), max(peaks)
    more_mb = peaks[large] - peaks[small]
    say(f"  floor {spread([a for a, _ in pairs])} s, ours {spread([b for _, b in pairs])} s")
    return Result(
        name="placards",
        rows=rows,
        floor_s=floor_s,
        ours_s=ours_s,
        peak_rss_mb=peaks[large],
        met=ours_s <= MOST * floor_s and more_mb <= MOST_MORE_MB,
        wrong=wrong,
        more={
            "ratios": [round(ours / bare, 3) for bare, ours in pairs],
            "peak_rss_mb_of_a_tenth": round(peaks[small], 1),
            "more_mb": round(more_mb, 1),
        },
    )


def _check(file: Path, *, seed: int, rows: int) -> list[str]:
    """What differs from what must be in the file."""
    with file.open("rb") as stream:
        reader = PdfReader(stream)
        if len(reader.pages) != rows:
            return [f"{len(reader.pages)} pages instead of {rows}"]
        texts = [reader.pages[number].extract_text() for number in (0, rows // 2, rows - 1)]
    links = _links(seed, rows)
    wrong = [
        f"page {number + 1} does not name its table"
        for number, text in zip((0, rows // 2, rows - 1), texts, strict=True)
        if f"桌号 {number + 1}" not in text
    ]
    if not shutil.which("pdftoppm"):
        return wrong
    for number in random.Random(seed).sample(range(rows), min(READ, rows)):
        page = str(number + 1)
        drawn = subprocess.run(
            ["pdftoppm", "-r", "72", "-f", page, "-l", page, "-png", str(file)],
            check=True,
            capture_output=True,
        ).stdout
        with Image.open(io.BytesIO(drawn)) as image:
            found = [one.text for one in zxingcpp.read_barcodes(image.convert("L"))]
        if found != [links[number]]:
            wrong.append(f"page {page} reads {found} instead of {links[number]}")
    return wrong


def _links(seed: int, rows: int) -> list[str]:
    numbers = random.Random(seed)
    return [
        "https://pay.example.com/q/" + "".join(numbers.choices(ALPHABET, k=12)) for _ in range(rows)
    ]


def _answers(work: Any) -> None:
    for order in orders():
        links = _links(order["seed"], order["rows"])
        with Path(order["out"]).open("wb") as out:
            began = time.perf_counter()
            work(links, out)
            seconds = time.perf_counter() - began
        answer(seconds=seconds, peak_rss_mb=peak_rss_mb())


# ---------------------------------------------------------------- ours
def _ours(links: list[str], out: BinaryIO) -> None:
    """What the portal prints for a restaurant's tables."""
    placards = (
        Placard(
            link=link,
            shop_name="老王面馆",
            store_name="中关村店",
            scenario=f"桌号 {number + 1}",
            amount=Money(1800),
            reference=link[-12:],
        )
        for number, link in enumerate(links)
    )
    write_pdf(out, placards, form=FORMATS["A4"])


# ---------------------------------------------------------------- the floor
def _floor(links: list[str], out: BinaryIO) -> None:
    """The same pages by one who knows where everything goes. Measures are those that ours comes to."""
    for name in (REGULAR, BOLD):
        font(name)
    canvas = Canvas(
        out,
        pagesize=(210 * mm, 297 * mm),
        pageCompression=1,
        enforceColorSpace="CMYK",
        initialFontName=REGULAR,
    )
    white, black, grey = CMYKColor(0, 0, 0, 0), CMYKColor(0, 0, 0, 1), CMYKColor(0, 0, 0, 0.62)
    accent, pale = CMYKColor(0.8367, 0.4541, 0, 0.2314), CMYKColor(0, 0, 0, 0.22)
    boxes: tuple[tuple[CMYKColor, float, float, float, float, float], ...] = (
        (accent, 13, 215, 184, 69, 7),
        (white, 69, 206, 72, 18, 9),
        (white, 53, 98, 104, 104, 4.4),
        (CMYKColor(0.86, 0.2, 0.95, 0.06), 13, 30, 89, 16, 4.4),
        (CMYKColor(0.92, 0.58, 0, 0), 108, 30, 89, 16, 4.4),
    )
    for number, link in enumerate(links):
        code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=0)
        code.add_data(link)
        code.make(fit=True)
        canvas.saveState()
        canvas.scale(mm, mm)
        canvas.setStrokeColor(pale)
        canvas.setLineWidth(0.6)
        for colour, x, y, width, height, radius in boxes:
            canvas.setFillColor(colour)
            canvas.roundRect(x, y, width, height, radius, stroke=1, fill=1)
        for colour, name, size, x, y, words in (
            (white, BOLD, 20, 65, 258, "老王面馆"),
            (white, REGULAR, 9.6, 90, 240, "中关村店"),
            (black, BOLD, 12, 85, 211, f"桌号 {number + 1}"),
            (black, BOLD, 21, 75, 74, "¥18.00"),
            (black, BOLD, 12.8, 60, 54, "扫码付款"),
            (black, REGULAR, 9.6, 115, 54, "Scan to pay"),
            (white, BOLD, 8, 20, 35, "微信支付 WeChat Pay"),
            (white, BOLD, 8, 125, 35, "支付宝 Alipay"),
            (grey, REGULAR, 2.1, 15, 16, "按 100% 打印时长 50 毫米 · 50 mm at 100%"),
            (grey, REGULAR, 4.5, 170, 13.5, link[-12:]),
        ):
            canvas.setFillColor(colour)
            canvas.setFont(name, size)
            canvas.drawString(x, y, words)
        canvas.setStrokeColor(grey)
        canvas.line(13.5, 13.4, 63.5, 13.4)
        for tick in range(0, 51, 5):
            canvas.line(13.5 + tick, 13.4, 13.5 + tick, 15)
        canvas.translate(55, 200)
        module = 100 / (len(code.modules) + 8)
        canvas.scale(module, -module)
        path = canvas.beginPath()
        for row_number, row in enumerate(code.modules):
            start = None
            for column, dark in enumerate((*row, False)):
                if dark and start is None:
                    start = column
                elif not dark and start is not None:
                    path.rect(start + 4, row_number + 4, column - start, 1)
                    start = None
        canvas.setFillColor(black)
        canvas.drawPath(path, stroke=0, fill=1)
        canvas.restoreState()
        canvas.showPage()
    canvas.save()


def main() -> None:
    """One of the two processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["floor", "ours"])
    _answers({"floor": _floor, "ours": _ours}[parser.parse_args().part])


if __name__ == "__main__":
    main()
