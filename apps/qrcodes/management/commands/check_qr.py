"""Whether codes in pictures and PDF files scan, how small they may be printed, and whose they are."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation
from PIL import Image

from apps.core import clock
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant
from apps.qrcodes.proof.measuring import Measured, measure
from apps.qrcodes.proof.photos import (
    MOST_BYTES,
    PhotoRefused,
    codes_in,
    is_pdf,
    open_photo,
    pdf_pages,
)
from apps.qrcodes.proofwords import harm_name, photo_sentence, verdict_words
from apps.qrcodes.selectors import Verdict, identify


class Command(BaseCommand):
    """``manage.py check_qr FILE… [--merchant SLUG] [--json]``."""

    help = (
        "Decodes codes in pictures or PDFs (an SVG must be saved as one of them first) at several sizes, blurs and contrasts;"
        " states the smallest safe print width."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """With a merchant, each code is also told to be the merchant's own, an old one, or foreign."""
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--merchant", metavar="SLUG")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look at every file. Raises CommandError when one shows no code, or one that does not scan or is foreign."""
        scope: Any = nullcontext()
        if options["merchant"]:
            merchant = Merchant.objects.filter(slug=options["merchant"]).first()
            if merchant is None:
                raise CommandError(f"There is no merchant {options['merchant']}.")
            scope = enter_scope(Scope(merchant.pk))
        with scope, translation.override("en"):
            reports = [
                self._report(path, whose=bool(options["merchant"])) for path in options["files"]
            ]
        bad = [report["file"] for report in reports if not report["ok"]]
        if options["json"]:
            self.stdout.write(json.dumps({"files": reports, "ok": not bad}, ensure_ascii=False))
        else:
            for report in reports:
                self._tell(report)
        if bad:
            raise CommandError(f"Not fit for print: {', '.join(bad)}")

    def _report(self, path: Path, *, whose: bool) -> dict[str, Any]:
        report: dict[str, Any] = {"file": path.name, "codes": [], "problem": "", "ok": False}
        try:
            for page, image in enumerate(self._pictures(path), start=1):
                for reading in codes_in(image):
                    code = self._code(measure(image, reading), whose=whose)
                    report["codes"].append({"page": page, **code})
        except (PhotoRefused, OSError) as error:
            refused = isinstance(error, PhotoRefused)
            report["problem"] = photo_sentence(error.key) if refused else str(error)  # type: ignore[union-attr]  # just asked
            return report
        if not report["codes"]:
            report["problem"] = photo_sentence("no_code")
        report["ok"] = bool(report["codes"]) and all(code["ok"] for code in report["codes"])
        return report

    @staticmethod
    def _pictures(path: Path) -> Iterator[Image.Image]:
        if path.stat().st_size > MOST_BYTES:
            raise PhotoRefused("too_many_bytes")
        data = path.read_bytes()
        if is_pdf(data):
            yield from pdf_pages(data)
        else:
            yield open_photo(data)

    @staticmethod
    def _code(measured: Measured, *, whose: bool) -> dict[str, Any]:
        proof = measured.proof
        code: dict[str, Any] = {
            "content": measured.reading.text,
            "version": measured.reading.version,
            "level": measured.reading.level,
            "quiet_modules": measured.quiet,
            "contrast": round(measured.contrast, 2),
            "read": proof.read,
            "tries": proof.tries,
            "problems": [harm_name(key) for key in measured.problems],
            "smallest_safe_mm": proof.least_width_mm,
            "ok": not measured.problems,
        }
        if whose:
            told = identify(measured.reading.text, now=clock.now())
            code["verdict"] = told.verdict.value
            code["verdict_words"] = verdict_words(told).title
            code["store"] = told.version.store.name if told.version else ""
            code["name"] = told.code.scenario.name if told.code else ""
            code["version_in_force"] = told.version.number if told.version else None
            # What is paused is put up again; what is retired or foreign must not be printed.
            code["ok"] = code["ok"] and told.verdict in {Verdict.OURS, Verdict.STOPPED}
        return code

    def _tell(self, report: dict[str, Any]) -> None:
        self.stdout.write(f"{report['file']}: {'fit for print' if report['ok'] else 'NOT fit'}")
        if report["problem"]:
            self.stdout.write(f"  {report['problem']}")
        for code in report["codes"]:
            self.stdout.write(
                f"  page {code['page']}: {code['content']}\n"
                f"    version {code['version']}, level {code['level']}, quiet zone {code['quiet_modules']} modules"
                f" (4 needed), contrast {code['contrast']:.0%} (55 % needed)\n"
                f"    read in {code['read']} of {code['tries']} photographs; smallest safe width {code['smallest_safe_mm']} mm"
            )
            for problem in code["problems"]:
                self.stdout.write(f"    problem: {problem}")
            if "verdict_words" in code:
                place = (
                    f" ({code['store']}, version {code['version_in_force']})"
                    if code["store"]
                    else ""
                )
                self.stdout.write(f"    {code['verdict_words']}{place}")
