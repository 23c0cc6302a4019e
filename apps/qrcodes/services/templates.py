"""A merchant's own kinds of scenario: made, changed, switched off. Codes made by one keep what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.qrcodes.models import ScenarioKind, ScenarioTemplate
from apps.qrcodes.scenarios import OwnQuestion
from apps.qrcodes.terms import CodeTerms, columns

MOST_TEMPLATES: Final = 50
MOST_QUESTIONS: Final = 6
#: What belongs to one code alone, so that no template holds it.
_OF_ONE_CODE: Final = (
    "store_id",
    "terminal_id",
    "name",
    "name_en",
    "details",
    "valid_from",
    "valid_until",
    "currency",
)


class TemplateRefused(ValueError):
    """A template cannot be like this; ``field`` and ``reason`` (``taken``, ``too_many``, ``kind``, ``missing``) say why."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


def defaults_of(terms: CodeTerms) -> dict[str, Any]:
    """What of a code's terms a template begins other codes with."""
    return {name: value for name, value in columns(terms).items() if name not in _OF_ONE_CODE}


@transaction.atomic
def save_template(
    *,
    template_id: int | None,
    name: str,
    name_en: str,
    kind: str,
    questions: Sequence[OwnQuestion],
    defaults: Mapping[str, Any] | None,
    actor: Actor,
    now: datetime,
) -> ScenarioTemplate:
    """Keep a template, a new one where ``template_id`` is None. ``defaults`` None leaves them as they are.

    Raises ScenarioTemplate.DoesNotExist, TemplateRefused.
    """
    if not name:
        raise TemplateRefused("name", "missing")
    if kind not in ScenarioKind.values:
        raise TemplateRefused("kind", "kind")
    if len(questions) > MOST_QUESTIONS:
        raise TemplateRefused("questions", "too_many")
    if template_id is None:
        if ScenarioTemplate.objects.count() >= MOST_TEMPLATES:
            raise TemplateRefused("", "too_many")
        row = ScenarioTemplate(created_at=now)
    else:
        row = ScenarioTemplate.objects.select_for_update().get(pk=template_id)
    row.name, row.name_en, row.kind = name, name_en, kind
    row.fields = [question.stored() for question in questions]
    if defaults is not None:
        row.defaults = dict(defaults)
    try:
        with transaction.atomic():
            row.save(force_insert=template_id is None)
    except IntegrityError as error:
        if "qrcodes_template_name" in str(error):
            raise TemplateRefused("name", "taken") from error
        raise
    audit.record(
        action="template.created" if template_id is None else "template.changed",
        subject_kind="template",
        subject_id=row.pk,
        actor=actor,
        at=now,
        data={"name": name, "kind": kind, "questions": [one.label for one in questions]},
    )
    return row


@transaction.atomic
def switch_template(
    *, template_id: int, active: bool, actor: Actor, now: datetime
) -> ScenarioTemplate:
    """Offer a template for new codes, or no more. Does nothing where it is so. Raises ScenarioTemplate.DoesNotExist."""
    row: ScenarioTemplate = ScenarioTemplate.objects.select_for_update().get(pk=template_id)
    if row.is_active == active:
        return row
    row.is_active = active
    row.save(update_fields=["is_active"])
    audit.record(
        action="template.switched_on" if active else "template.switched_off",
        subject_kind="template",
        subject_id=row.pk,
        actor=actor,
        at=now,
        data={"name": row.name},
    )
    return row
