"""Faults as switches, in plain words, and the random weather."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from apps.simulator import fault_values, faults
from apps.simulator.control import frame
from apps.simulator.control.guard import loopback_only
from apps.simulator.fault_kinds import KINDS, Kind, grouped
from apps.simulator.fault_values import MOST_USES
from apps.simulator.models import Fault, Platform

#: What the button for bad weather draws from: nothing that makes a platform lie, only what networks and queues do.
WEATHER = (
    "lost_before_commit",
    "lost_after_commit",
    "http_500",
    "rate_limited",
    "proxy_page",
    "truncated_answer",
    "notify_lost",
    "notify_twice",
    "notify_late",
    "notify_out_of_order",
)
_VALUE = re.compile(r"value\.(\w+)")
#: The Chinese descriptions name the units themselves.
_ENGLISH_UNITS = {"seconds": " s", "fen": " fen", "megabytes": " MB"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value of a fault as a form's field."""

    name: str
    kind: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A fault as the page shows it; ``here`` is in force for the platform chosen, ``elsewhere`` for others."""

    key: str
    chinese: str
    english: str
    here: Fault | None
    elsewhere: list[Fault]
    settings: list[Setting]


def _setting(name: str, value: Any) -> Setting:
    if isinstance(value, bool):
        return Setting(name=name, kind="switch", value=value)
    kind = "text" if isinstance(value, str) else "number"
    return Setting(name=name, kind=kind, value="" if value is None else value)


def _plain(words: str, values: dict[str, Any], units: dict[str, str]) -> str:
    """A description for people: a number stands where the catalogue names it, other values keep their bare name."""

    def shown(match: re.Match[str]) -> str:
        value = values.get(match[1])
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return f"{value}{units.get(match[1], '')}" if is_number else match[1]

    return _VALUE.sub(shown, words)


def _switch(key: str, kind: Kind, in_force: list[Fault], platform: str) -> Switch:
    ours = [fault for fault in in_force if fault.key == key]
    here = next((fault for fault in ours if fault.platform == platform), None)
    return Switch(
        key=key,
        chinese=_plain(kind.chinese, kind.value, {}),
        english=_plain(kind.english, kind.value, _ENGLISH_UNITS),
        here=here,
        elsewhere=[fault for fault in ours if fault is not here],
        settings=[_setting(name, value) for name, value in kind.value.items()],
    )


@loopback_only
@require_GET
def fault_page(request: HttpRequest) -> HttpResponse:
    """All faults that can happen at the platform chosen ("" for all platforms at once), topic by topic."""
    platform = frame.choices_of(request).platform
    in_force = list(Fault.objects.order_by("pk"))
    schedule = faults.current_schedule()
    report = schedule.report() if schedule else None
    context = {
        "here": "faults",
        "platform": platform,
        "topics": [
            (
                *topic.value,
                [_switch(key, kind, in_force, platform) for key, kind in kinds],
            )
            for topic, kinds in grouped(platform=platform)
        ],
        "schedule": report,
        "drawn": [
            (key, rate, report["injected"].get(key, {})) for key, rate in report["rates"].items()
        ]
        if report
        else [],
        "weather": WEATHER,
        "said": request.GET.get("said", ""),
    }
    return frame.show(request, "simulator/control_faults.html", context)


def _value(request: HttpRequest, kind: Kind) -> dict[str, Any]:
    """The values of a form. What is not filled in stays as in the catalogue, but for empty seconds where "for ever" exists."""
    found: dict[str, Any] = {}
    is_whole_form = "whole" in request.POST
    for name, value in kind.value.items():
        text = request.POST.get(name, "").strip()
        if isinstance(value, bool):
            if is_whole_form:
                found[name] = name in request.POST
        elif isinstance(value, str):
            found |= {name: text} if text else {}
        elif text:
            amount = frame.number(request, name)
            if amount is not None:
                found[name] = int(amount) if amount == int(amount) else amount
        elif is_whole_form and name == "seconds" and "null" in kind.english:
            found[name] = None
    if request.POST.get("path", "").strip():
        found["path"] = request.POST["path"].strip()
    return found


@loopback_only
@require_POST
def fault_add(request: HttpRequest) -> HttpResponse:
    """Put a fault in force, in place of the same one for the same platform; values and uses are optional."""
    key, platform = request.POST.get("key", ""), request.POST.get("platform", "")
    uses = frame.number(request, "uses")
    kind = KINDS.get(key)
    if kind and kind.concerns(platform) and platform in ("", *Platform.values):
        value = _value(request, kind)
        try:
            fault_values.check(key, kind, value)
        except ValueError as error:
            return frame.back_to(request, "control-faults", said=str(error))
        Fault.objects.filter(key=key, platform=platform).delete()
        faults.add_fault(
            key=key,
            platform=platform,
            value=value,
            uses=min(int(uses), MOST_USES) if uses and uses >= 1 else None,
        )
    return frame.back_to(request, "control-faults")


@loopback_only
@require_POST
def fault_remove(request: HttpRequest) -> HttpResponse:
    """Lift one fault, or all."""
    fault_id = frame.number(request, "id")
    faults.remove_faults(fault_id=None if fault_id is None else int(fault_id))
    return frame.back_to(request, "control-faults")


@loopback_only
@require_POST
def weather_set(request: HttpRequest) -> HttpResponse:
    """Start random faults of ``percent`` each, or end them ("end")."""
    percent = frame.number(request, "percent")
    if "end" in request.POST:
        faults.end_schedule()
    elif percent is not None and 0 < percent <= 100:
        faults.set_schedule(
            seed=int(frame.number(request, "seed") or 0),
            rates=dict.fromkeys(WEATHER, percent / 100),
        )
    return frame.back_to(request, "control-faults")
