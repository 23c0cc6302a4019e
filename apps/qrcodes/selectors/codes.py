"""A code: what it does now, its link and amount, whom it belongs to, what happened to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from django.conf import settings

from apps.core.models import AuditEvent
from apps.core.money import Money
from apps.qrcodes.hours import hours_from, is_open, next_opening
from apps.qrcodes.models import CodeState, CodeVersion, QRCode, ScenarioTemplate
from apps.qrcodes.scenarios import Question, questions_of

#: How many events the history of a code shows.
HISTORY_LIMIT: Final = 50
#: How many versions its page compares.
VERSIONS_SHOWN: Final = 100


class Unusable(StrEnum):
    """Why a code takes no payment at a moment."""

    PAUSED = "paused"
    RETIRED = "retired"
    NOT_YET = "not_yet"
    EXPIRED = "expired"
    STORE_CLOSED = "store_closed"
    HOURS = "hours"


def display_state(code: QRCode, now: datetime) -> str:
    """The state that people are shown: ``active``, ``paused``, ``retired``, ``not_yet`` or ``expired``."""
    if code.state != CodeState.ACTIVE:
        return str(code.state)
    timed = _state_in_time(code.valid_from, code.valid_until, now)
    return CodeState.ACTIVE.value if timed is None else timed.value


def _state_in_time(
    begins: datetime | None, ends: datetime | None, now: datetime
) -> Unusable | None:
    if begins is not None and now < begins:
        return Unusable.NOT_YET
    if ends is not None and now >= ends:
        return Unusable.EXPIRED
    return None


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether it is open, and where it is not, when it opens next (None: never)."""

    open: bool
    next_at: datetime | None = None


def opening(version: CodeVersion, now: datetime) -> Opening:
    """Whether a version's opening hours take payments at ``now``."""
    hours = hours_from(version.hours)
    if is_open(hours, now):
        return Opening(open=True)
    return Opening(open=False, next_at=next_opening(hours, now))


def usable(code: QRCode, now: datetime, *, version: CodeVersion | None = None) -> Unusable | None:
    """Why the code takes no payment at ``now``, or None when it does.

    Goes by ``version`` (with its store), the one in force, where it is given: the code's own row may still follow the one before.
    """
    if code.state != CodeState.ACTIVE:
        return Unusable(code.state)
    terms = version or code
    state = _state_in_time(terms.valid_from, terms.valid_until, now)
    if state is not None:
        return state
    if not terms.store.is_active:
        return Unusable.STORE_CLOSED
    if version is not None and not opening(version, now).open:
        return Unusable.HOURS
    return None


def get_code(code_id: int) -> QRCode:
    """A code of the stores in scope with its scenario, store and terminal. Raises QRCode.DoesNotExist."""
    codes = QRCode.objects.visible().select_related(
        "scenario__template", "store", "terminal", "folder"
    )
    code: QRCode = codes.get(pk=code_id)
    return code


def version_in_force(*, code_id: int, now: datetime) -> CodeVersion:
    """What a code does at ``now``, with its store. Raises CodeVersion.DoesNotExist for a code out of scope."""
    started = CodeVersion.objects.filter(code_id=code_id, starts_at__lte=now, withdrawn_at=None)
    version: CodeVersion | None = (
        started.select_related("store").order_by("-starts_at", "-number").first()
    )
    if version is None:
        raise CodeVersion.DoesNotExist(f"code {code_id} has no version in force")
    return version


def scheduled_versions(*, code_id: int, now: datetime) -> list[CodeVersion]:
    """The versions of a code that are planned, the next first."""
    planned = CodeVersion.objects.filter(code_id=code_id, starts_at__gt=now, withdrawn_at=None)
    return list(
        planned.select_related("store", "terminal", "made_by").order_by("starts_at", "number")
    )


def versions_of(code: QRCode) -> list[CodeVersion]:
    """All versions of a code, withdrawn ones too, by number, the last first; at most ``VERSIONS_SHOWN``."""
    versions = CodeVersion.objects.filter(code=code).select_related("store", "terminal", "made_by")
    return list(versions.order_by("-number")[:VERSIONS_SHOWN])


def questions_for(code: QRCode) -> Sequence[Question]:
    """What is asked about a code, by its kind or by the merchant's own template."""
    return questions_of(code.scenario.kind, code.scenario.template)


def list_templates(*, only_active: bool = False) -> list[ScenarioTemplate]:
    """The merchant's own templates, by name."""
    templates = ScenarioTemplate.objects.order_by("name")
    return list(templates.filter(is_active=True) if only_active else templates)


def get_template(template_id: int) -> ScenarioTemplate:
    """One of the merchant's own templates. Raises ScenarioTemplate.DoesNotExist."""
    template: ScenarioTemplate = ScenarioTemplate.objects.get(pk=template_id)
    return template


def codes_of_terminals(terminal_ids: Iterable[int]) -> dict[int, list[QRCode]]:
    """The codes that belong to each of these terminals, oldest first; retired ones do not count."""
    found: dict[int, list[QRCode]] = {}
    codes = QRCode.objects.visible().filter(terminal_id__in=list(terminal_ids))
    for code in codes.exclude(state=CodeState.RETIRED).select_related("scenario").order_by("pk"):
        if code.terminal_id is not None:
            found.setdefault(code.terminal_id, []).append(code)
    return found


def has_plans_elsewhere(*, terminal_id: int, store_id: int, now: datetime) -> bool:
    """Whether a planned change of a code names this terminal in another store than this one."""
    plans = CodeVersion.objects.filter(
        terminal_id=terminal_id, starts_at__gt=now, withdrawn_at__isnull=True
    )
    return bool(plans.exclude(store_id=store_id).exclude(code__state=CodeState.RETIRED).exists())


def unassigned_codes(*, store_id: int) -> list[QRCode]:
    """The codes of a store that belong to no terminal, oldest first; retired ones do not count."""
    codes = QRCode.objects.visible().filter(store_id=store_id, terminal__isnull=True)
    return list(codes.exclude(state=CodeState.RETIRED).select_related("scenario").order_by("pk"))


def link_of(code: QRCode) -> str:
    """What is printed: it never changes for a code."""
    return f"{settings.PUBLIC_URL}/q/{code.token}"


def amount_of(code: QRCode) -> Money | None:
    """The fixed amount, or None where the payer types it."""
    return None if code.amount_minor is None else Money(code.amount_minor, code.currency)


def history_of(code: QRCode) -> list[AuditEvent]:
    """What happened to a code, newest first."""
    return list(
        AuditEvent.objects.filter(subject_kind="code", subject_id=code.pk).order_by("-at", "-pk")[
            :HISTORY_LIMIT
        ]
    )
