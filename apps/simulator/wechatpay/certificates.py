"""WeChat Pay's platform certificates: the present one, and those before it that are still good (dossier A3.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.simulator import keys

LIFE = timedelta(days=5 * 365)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformCertificate:
    """One certificate (PEM) with its key; ``made_at`` is when it became effective."""

    serial_no: str
    certificate: str
    private_key: str
    made_at: datetime

    @property
    def ends_at(self) -> datetime:
        """When it expires."""
        return self.made_at + LIFE


def new_certificate(*, now: datetime) -> dict[str, str]:
    """The ``config`` of a fresh platform certificate."""
    private_key = keys.new_private_key()
    certificate, serial = keys.self_signed_certificate(
        private_key, name="SIMULATOR WeChat Pay", now=now
    )
    return {
        "platform_serial_no": serial,
        "platform_certificate": certificate,
        "certificate_private_key": private_key,
        "certificate_made_at": now.isoformat(),
    }


def renewed(config: dict[str, Any], *, created_at: datetime, now: datetime) -> dict[str, Any]:
    """The config with a new certificate in use, the one so far beside it."""
    before = next(certificates_of(config, created_at=created_at))
    kept = [
        *config.get("earlier_certificates", []),
        {
            "platform_serial_no": before.serial_no,
            "platform_certificate": before.certificate,
            "certificate_private_key": before.private_key,
            "certificate_made_at": before.made_at.isoformat(),
        },
    ]
    return {**config, **new_certificate(now=now), "earlier_certificates": kept}


def certificates_of(
    config: dict[str, Any], *, created_at: datetime
) -> Iterator[PlatformCertificate]:
    """All that are good, the one in use first; ``created_at`` is the merchant's, where no date was kept."""
    for one in (config, *reversed(config.get("earlier_certificates", []))):
        made = one.get("certificate_made_at")
        yield PlatformCertificate(
            serial_no=one["platform_serial_no"],
            certificate=one["platform_certificate"],
            private_key=one["certificate_private_key"],
            made_at=datetime.fromisoformat(made) if made else created_at,
        )


def known_serials(config: dict[str, Any]) -> set[str]:
    """What a client may name as the platform's key, by the merchant's key mode."""
    mode = config.get("key_mode", "public_key")
    serials: set[str] = set()
    if mode != "certificate":
        serials.add(config["public_key_id"])
    if mode != "public_key":
        serials.add(config["platform_serial_no"])
        serials |= {one["platform_serial_no"] for one in config.get("earlier_certificates", [])}
    return serials


def private_key_of(config: dict[str, Any], serial: str) -> str:
    """The platform's private key behind a serial, to open what was sealed for it; "" if there is none."""
    if serial not in known_serials(config):
        return ""
    if serial == config["public_key_id"]:
        return str(config["platform_private_key"])
    for one in (config, *config.get("earlier_certificates", [])):
        if one["platform_serial_no"] == serial:
            return str(one["certificate_private_key"])
    return ""
