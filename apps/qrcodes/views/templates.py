"""A merchant's own kinds of scenario."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.merchants.access import MerchantRequest, merchant_view
from apps.qrcodes.forms import TemplateForm
from apps.qrcodes.forms.templates import written_questions
from apps.qrcodes.models import QRCode, ScenarioTemplate
from apps.qrcodes.scenarios import own
from apps.qrcodes.selectors import get_template, list_templates, version_in_force
from apps.qrcodes.services import TemplateRefused, defaults_of, save_template, switch_template
from apps.qrcodes.terms import terms_of
from apps.qrcodes.views.frame import code_or_404


def _template_or_404(template_id: int) -> ScenarioTemplate:
    try:
        return get_template(template_id)
    except ScenarioTemplate.DoesNotExist as error:
        raise Http404 from error


@merchant_view("codes.view")
@require_safe
def template_list(request: MerchantRequest) -> HttpResponse:
    """The merchant's own templates."""
    rows = [{"row": row, "template": own(row)} for row in list_templates()]
    return render(request, "qrcodes/template_list.html", {"rows": rows})


def _like(request: MerchantRequest) -> QRCode | None:
    """The code whose terms a template begins with."""
    text = (request.POST if request.method == "POST" else request.GET).get("like", "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise Http404
    return code_or_404(int(text))


def _edit(request: MerchantRequest, row: ScenarioTemplate | None) -> HttpResponse:
    like = _like(request)
    now = clock.now()
    initial: dict[str, Any] = {}
    if row is not None:
        initial = {"name": row.name, "name_en": row.name_en, "kind": row.kind}
        initial["questions"] = written_questions(row.fields)
    elif like is not None:
        initial = {"kind": like.scenario.kind}
    form = TemplateForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        defaults = None
        if like is not None:
            defaults = defaults_of(terms_of(version_in_force(code_id=like.pk, now=now)))
        try:
            save_template(
                template_id=None if row is None else row.pk,
                name=form.cleaned_data["name"],
                name_en=form.cleaned_data["name_en"],
                kind=form.cleaned_data["kind"],
                questions=form.cleaned_data["questions"],
                defaults=defaults,
                actor=request.actor(),
                now=now,
            )
        except TemplateRefused as refused:
            form.refuse(refused)
        else:
            messages.success(request, _("The template is saved."))
            return redirect("qrcodes:template_list", request.merchant.slug)
    status = 422 if form.errors else 200
    context = {"form": form, "row": row, "like": like}
    return render(request, "qrcodes/template_form.html", context, status=status)


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def template_create(request: MerchantRequest) -> HttpResponse:
    """A new template; ``like`` names a code whose terms it begins new codes with."""
    return _edit(request, None)


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def template_change(request: MerchantRequest, template_id: int) -> HttpResponse:
    """Change a template; codes that were made by it stay as they are."""
    return _edit(request, _template_or_404(template_id))


@merchant_view("codes.manage")
@require_POST
def template_switch(request: MerchantRequest, template_id: int) -> HttpResponse:
    """Offer a template for new codes, or no more."""
    row = _template_or_404(template_id)
    active = "on" in request.POST
    switch_template(template_id=row.pk, active=active, actor=request.actor(), now=clock.now())
    words = _("The template is offered again.") if active else _("It is offered no more.")
    messages.success(request, words)
    return redirect("qrcodes:template_list", request.merchant.slug)
