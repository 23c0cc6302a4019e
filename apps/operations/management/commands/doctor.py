"""What is wrong with the portal and its accounts, and what to do."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from apps.core import clock
from apps.core.audit import Actor
from apps.core.doors import DoorNotFound, find_door
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant
from apps.operations import doctor, services
from apps.operations.doctor.words import tell
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors import list_accounts
from apps.platforms.services import merchants_with_accounts
from apps.platforms.services.accounts import DOOR

ACTOR = Actor.system("doctor")


class Command(BaseCommand):
    """``manage.py doctor [--account REF] [--rehearse] [--json] [--language CODE]``."""

    help = (
        "Examines the portal and the platform accounts: keys, certificates, clock, notification address, bills, terminals,"
        " workers. Says what is wrong and what to do; the exit status is 0 only when all is well."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """All accounts unless one is named."""
        parser.add_argument(
            "--account", default="", help="its reference, the last part of its notification address"
        )
        parser.add_argument(
            "--rehearse",
            action="store_true",
            help="also pay one fen and give it back; needs the simulator",
        )
        parser.add_argument("--json", action="store_true")
        parser.add_argument(
            "--language",
            default=settings.LANGUAGE_CODE,
            choices=[code for code, _name in settings.LANGUAGES],
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine. Raises CommandError, so that the exit status is not 0, unless all is well."""
        with translation.override(options["language"]):
            house = doctor.examine_house(now=clock.now())
            patients: list[dict[str, Any]] = []
            if "database_down" not in house.diagnoses:
                patients = list(self._accounts(options["account"], rehearse=options["rehearse"]))
            well = house.is_well and all(patient["ok"] for patient in patients)
            if options["json"]:
                report = {"ok": well, "portal": _report(house), "accounts": patients}
                self.stdout.write(json.dumps(report, ensure_ascii=False))
            else:
                self._write("Merchant Portal", _report(house))
                for patient in patients:
                    name = f"{patient['merchant']} · {patient['label']} ({patient['platform']}, {patient['ref']})"
                    self._write(name, patient)
            if not well:
                raise CommandError("Not all is well.")

    def _accounts(self, ref: str, *, rehearse: bool) -> Iterator[dict[str, Any]]:
        """Examine the accounts one after another. Raises CommandError for a reference that nobody has."""
        if ref:
            try:
                door = find_door(kind=DOOR, token=ref)
            except DoorNotFound as error:
                raise CommandError(f"There is no account {ref!r}.") from error
            wanted = [(door.merchant_id, door.subject_id)]
        else:
            wanted = [(merchant_id, 0) for merchant_id in merchants_with_accounts()]
        for merchant_id, account_id in wanted:
            slug = Merchant.objects.values_list("slug", flat=True).get(pk=merchant_id)
            with enter_scope(Scope(merchant_id)):
                for account in list_accounts():
                    if account_id in {0, account.pk}:
                        yield {"merchant": slug, **_examined(account, rehearse=rehearse)}

    def _write(self, name: str, report: dict[str, Any]) -> None:
        self.stdout.write(name)
        for finding in report["findings"]:
            self.stdout.write(f"  [{finding['told']}] {finding['about']}: {finding['title']}")
            if finding["fix"]:
                self.stdout.write(f"      → {finding['fix']}")
        for step in report.get("rehearsal", []):
            self.stdout.write(f"  {step['seconds']:5.1f} s  {step['title']}")


def _examined(account: PlatformAccount, *, rehearse: bool) -> dict[str, Any]:
    examination = services.examine_account(account, now=clock.now(), actor=ACTOR)
    report = {
        "ref": account.ref,
        "platform": account.platform,
        "label": account.label,
        **_report(examination),
    }
    if rehearse and doctor.SIMULATOR_OFF not in examination.diagnoses:
        try:
            made = doctor.rehearse(account, actor=ACTOR)
        except doctor.RehearsalRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        report["ok"] = report["ok"] and made.passed
        report["rehearsal"] = [
            {"title": step.title, "seconds": step.seconds, "done": step.done} for step in made.steps
        ]
    return report


def _report(examination: doctor.Examination) -> dict[str, Any]:
    findings = []
    for finding in examination.findings:
        told = tell(finding)
        findings.append(
            {
                **finding.as_dict(),
                "about": told.check,
                "told": told.state,
                "title": told.title,
                "fix": told.fix,
            }
        )
    return {
        "ok": examination.is_well,
        "checked_at": examination.checked_at.isoformat(),
        "findings": findings,
    }
