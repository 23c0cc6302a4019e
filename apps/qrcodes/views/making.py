"""Making a code and changing what a printed one does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.core import clock
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.models import Merchant, Store, Terminal
from apps.merchants.selectors import list_stores
from apps.qrcodes.artwork import TextTooLong
from apps.qrcodes.artwork.placard import caption
from apps.qrcodes.forms import ChangeForm, TermsForm
from apps.qrcodes.models import CodeVersion, QRCode, ScenarioTemplate
from apps.qrcodes.scenarios import HOUSE, Template, own
from apps.qrcodes.selectors import (
    get_code,
    get_template,
    list_templates,
    questions_for,
    scheduled_versions,
    trial_placards,
    version_in_force,
    versions_of,
)
from apps.qrcodes.services import (
    CodeChanged,
    CodeRefused,
    CodeRetired,
    NothingChanged,
    make_code,
    revise_code,
    withdraw_version,
)
from apps.qrcodes.terms import terms_from, terms_of
from apps.qrcodes.views.frame import code_or_404, number_of, print_problem
from apps.qrcodes.wording import changes_between, moment


def _refuse_too_long(form: TermsForm, *, stores: Sequence[Store], merchant: Merchant) -> None:
    """A name that no placard has room for, beside that of the store, is refused while it can still be changed."""
    terms = form.terms
    store = next(store for store in stores if store.pk == terms.store_id)
    for placard in trial_placards(
        store=store, merchant=merchant, name=terms.name, name_en=terms.name_en
    ):
        try:
            caption(placard)
        except TextTooLong as error:
            if error.text == placard.place:
                form.add_error("name", print_problem(error))
                return


def _template_or_404(text: str) -> ScenarioTemplate:
    number = number_of(text)
    if number is None:
        raise Http404
    try:
        return get_template(number)
    except ScenarioTemplate.DoesNotExist as error:
        raise Http404 from error


def chosen_template(request: MerchantRequest) -> tuple[Template, QRCode | None] | None:
    """The template that a new code is made by, and the code that it is a copy of; None while nothing is chosen."""
    given = request.POST if request.method == "POST" else request.GET
    if given.get("copy"):
        number = number_of(given["copy"])
        copied = code_or_404(number if number is not None else 0)
        row = copied.scenario.template
        return (HOUSE[copied.scenario.kind] if row is None else own(row)), copied
    if given.get("template"):
        return own(_template_or_404(given["template"])), None
    if given.get("kind") in HOUSE:
        return HOUSE[given["kind"]], None
    return None


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def code_create(request: MerchantRequest) -> HttpResponse:
    """A new code: first what it is for, then its terms. ``copy`` names a code whose terms it begins with."""
    stores = list(list_stores(only_active=True))
    chosen = chosen_template(request)
    if chosen is None or not stores:
        context = {
            "has_stores": bool(stores),
            "house": list(HOUSE.values()),
            "own": [own(row) for row in list_templates(only_active=True)],
        }
        return render(request, "qrcodes/code_choose.html", context)
    template, copied = chosen
    now = clock.now()
    begins = None
    if copied is not None:
        begins = terms_of(version_in_force(code_id=copied.pk, now=now))
    elif request.method != "POST":
        begins = terms_from(template.defaults, store_id=stores[0].pk)
    form = TermsForm(
        request.POST or None,
        stores=stores,
        questions=template.questions,
        now=now,
        terms=begins,
        example=str(template.example),
    )
    if request.method == "POST" and form.is_valid():
        _refuse_too_long(form, stores=stores, merchant=request.merchant)
    if request.method == "POST" and form.is_valid():
        try:
            code = make_code(
                kind=template.kind,
                terms=form.terms,
                template_id=template.template_id,
                copied_from=None if copied is None else copied.pk,
                actor=request.actor(),
                now=now,
            )
        except CodeRefused as refused:
            form.refuse(refused.field, refused.reason)
        except (Store.DoesNotExist, Terminal.DoesNotExist):
            form.refuse("store", "gone")
        else:
            messages.success(request, _("The code is ready to be printed."))
            return redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    status = 422 if form.errors else 200
    context = {"form": form, "template": template, "copied": copied}
    return render(request, "qrcodes/code_create.html", context, status=status)


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def code_change(request: MerchantRequest, code_id: int) -> HttpResponse:
    """Change what a printed code does, now or from a time on. ``from`` names a version whose terms the form begins with."""
    now = clock.now()
    code = code_or_404(code_id)
    if code.state == "retired":
        messages.info(request, _("This code is retired, which is final."))
        return redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    versions = versions_of(code)
    current = version_in_force(code_id=code.pk, now=now)
    begins = _version(versions, request.GET.get("from", "")) or current
    stores = [one for one in list_stores() if one.is_active or one.pk == code.store_id]
    form = ChangeForm(
        request.POST or None,
        stores=stores,
        questions=questions_for(code),
        now=now,
        terms=terms_of(begins),
        home=(current.store_id, current.terminal_id),
        initial={"expected": versions[0].number},
    )
    if request.method == "POST" and form.is_valid():
        _refuse_too_long(form, stores=stores, merchant=request.merchant)
    if request.method == "POST" and form.is_valid():
        outcome = _revise(request, code, form)
        if outcome is not None:
            return outcome
    last = versions[0]
    changed_meanwhile = form.is_bound and form["expected"].value() != str(last.number)
    context: dict[str, Any] = {
        "form": form,
        "code": code,
        "begins": begins,
        "goes_back": begins.pk != current.pk,
        "planned": scheduled_versions(code_id=code.pk, now=now),
        "meanwhile": last if changed_meanwhile else None,
        "meanwhile_changes": changes_between(
            _version(versions, str(form["expected"].value())) or begins, last, questions_for(code)
        )
        if changed_meanwhile
        else [],
    }
    status = 422 if form.errors or changed_meanwhile else 200
    return render(request, "qrcodes/code_change.html", context, status=status)


def _version(versions: Sequence[CodeVersion], text: str) -> CodeVersion | None:
    number = number_of(text)
    return next((version for version in versions if version.number == number), None)


def _revise(request: MerchantRequest, code: QRCode, form: ChangeForm) -> HttpResponse | None:
    """Make the version; None where the form must be shown again."""
    detail = redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    try:
        version = revise_code(
            code_id=code.pk,
            terms=form.terms,
            expected=form.cleaned_data["expected"],
            starts_at=form.cleaned_data["starts_at"],
            reason=form.cleaned_data["reason"],
            actor=request.actor(),
            now=clock.now(),
        )
    except CodeChanged:
        return None
    except CodeRefused as refused:
        form.refuse(refused.field, refused.reason)
        return None
    except (Store.DoesNotExist, Terminal.DoesNotExist):
        form.refuse("store", "gone")
        return None
    except CodeRetired:
        messages.info(request, _("This code is retired, which is final."))
        return detail
    except NothingChanged:
        messages.info(request, _("Nothing was changed: these terms hold already."))
        return detail
    if version.starts_at > clock.now():
        words = _("Planned: it changes at %(time)s, China time.")
        messages.success(request, words % {"time": moment(version.starts_at)})
    else:
        messages.success(request, _("Changed. The printed code stays as it is."))
    return detail


@merchant_view("codes.view")
@require_safe
def code_versions(request: MerchantRequest, code_id: int) -> HttpResponse:
    """All versions of a code: who made each, when, why, and what it changed."""
    now = clock.now()
    code = code_or_404(code_id)
    versions = versions_of(code)
    current = version_in_force(code_id=code.pk, now=now)
    questions = questions_for(code)
    before: dict[int, CodeVersion] = {later.pk: earlier for later, earlier in pairwise(versions)}
    rows = [
        {
            "version": version,
            "state": _state_of(version, current, now=now),
            "changes": changes_between(before[version.pk], version, questions)
            if version.pk in before
            else [],
            "is_first": version.number == 1,
        }
        for version in versions
    ]
    context = {"code": code, "rows": rows}
    return render(request, "qrcodes/code_versions.html", context)


def _state_of(version: CodeVersion, current: CodeVersion, *, now: Any) -> str:
    if version.pk == current.pk:
        return "current"
    if version.withdrawn_at is not None:
        return "withdrawn"
    return "planned" if version.starts_at > now else "past"


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def code_withdraw(request: MerchantRequest, code_id: int, number: int) -> HttpResponse:
    """Confirm that a planned change does not happen."""
    code = code_or_404(code_id)
    version = _version(versions_of(code), str(number))
    if version is None:
        raise Http404
    detail = redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    now = clock.now()
    if request.method == "POST":
        try:
            withdraw_version(code_id=code.pk, number=number, actor=request.actor(), now=now)
        except CodeRefused:
            messages.error(
                request, _("This change has begun already. Change the code again instead.")
            )
        else:
            messages.success(request, _("The planned change is withdrawn."))
        return detail
    if version.starts_at <= now or version.withdrawn_at is not None:
        messages.info(request, _("This change is not planned any more."))
        return detail
    current = version_in_force(code_id=code.pk, now=now)
    facts = [
        (change.label, f"{' '.join(change.before)} → {' '.join(change.after)}")
        for change in changes_between(current, version, questions_for(get_code(code.pk)))
    ]
    context = {"code": code, "version": version, "facts": facts, "at": moment(version.starts_at)}
    return render(request, "qrcodes/code_withdraw.html", context)
