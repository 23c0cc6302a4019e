"""What was signed with the platforms: the list by end, one account's terms and papers, the list to go through before signing."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.core.encryption import CannotOpen
from apps.core.fields import is_too_long
from apps.core.files import as_file
from apps.core.htmx import render_page
from apps.core.papers import MOST_BYTES, PaperRefused, too_large_words
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms import agreement_wording as words
from apps.platforms import registry
from apps.platforms.checklist import ITEMS
from apps.platforms.forms.agreements import AgreementForm, PaperForm, TickForm, tier_forms
from apps.platforms.gateway import Platform
from apps.platforms.models import (
    Agreement,
    AgreementDocument,
    ChecklistTick,
    FeeTier,
    PlatformAccount,
)
from apps.platforms.selectors import agreements as found
from apps.platforms.selectors import get_account, list_accounts
from apps.platforms.services import agreements, documents
from apps.platforms.services.accounts import AccountNotFound
from apps.platforms.usual import USUAL_TERMS


def _account_or_404(account_id: int) -> PlatformAccount:
    try:
        return get_account(account_id)
    except PlatformAccount.DoesNotExist as error:
        raise Http404 from error


def _document_or_404(document_id: int) -> AgreementDocument:
    try:
        return found.get_document(document_id)
    except AgreementDocument.DoesNotExist as error:
        raise Http404 from error


def _to_agreement(request: MerchantRequest, account_id: int, part: str = "") -> HttpResponse:
    here = reverse("platforms:agreement_detail", args=[request.merchant.slug, account_id])
    return redirect(f"{here}{part}")


@require_safe
@merchant_view("platforms.view")
def agreement_list(request: MerchantRequest) -> HttpResponse:
    """Every account with what was signed for it and how long that holds."""
    today = clock.business_date(clock.now())
    accounts = list(list_accounts())
    versions = found.versions_by_account([account.pk for account in accounts])
    shown = {pk: found.current_of(rows, today) for pk, rows in versions.items()}
    tiers = found.tiers_of([row.pk for row in shown.values() if row is not None])
    context = {
        "entries": [_entry(account, shown.get(account.pk), tiers, today) for account in accounts],
        "platforms": [platform.value for platform in registry.connected_platforms()],
    }
    return render_page(request, "platforms/agreement_list.html", context)


def _entry(
    account: PlatformAccount,
    agreement: Agreement | None,
    tiers: dict[int, list[FeeTier]],
    today: Any,
) -> dict[str, Any]:
    if agreement is None:
        return {"account": account, "rates": f"{words.percent(account.fee_rate_ppm)} %"}
    return {
        "account": account,
        "agreement": agreement,
        "rates": words.rate_summary(tiers.get(agreement.pk, [])),
        "term": words.term_words(
            until=found.next_end(agreement, today), renews=agreement.renews, today=today
        ),
    }


@require_safe
@merchant_view("platforms.view")
def agreement_detail(request: MerchantRequest, account_id: int) -> HttpResponse:
    """One account's agreement: its terms, versions, papers and what was looked at before signing."""
    return _detail(request, _account_or_404(account_id))


def _detail(
    request: MerchantRequest,
    account: PlatformAccount,
    *,
    paper: PaperForm | None = None,
    trouble: str = "",
    status: int = 200,
) -> HttpResponse:
    today = clock.business_date(clock.now())
    versions = found.versions_of(account.pk)
    tiers = found.tiers_of([row.pk for row in versions])
    current = found.current_of(versions, today)
    days = {row.pk: (begins, ends) for row, begins, ends in found.spans(versions)}
    ticks = found.ticks_of(platform=account.platform, account=account)
    context = {
        "account": account,
        "today": today,
        "current": _version(current, tiers) if current is not None else None,
        "holds": found.in_force(versions, today) is not None,
        "term": words.term_words(
            until=found.next_end(current, today), renews=current.renews, today=today
        )
        if current is not None
        else None,
        "own_rate": words.percent(account.fee_rate_ppm),
        "versions": [
            {
                **_version(row, tiers),
                "is_current": current is not None and row.pk == current.pk,
                "is_planned": row.effective_from > today and row.pk in days,
                "is_void": row.pk not in days,
            }
            for row in versions
        ],
        "withdrawn": found.withdrawn_of(account.pk),
        "documents": found.documents_of(account.pk),
        "paper": paper or PaperForm(),
        "trouble": trouble,
        "items": _items(ticks),
        "done_count": sum(tick.is_done for tick in ticks.values()),
        "tick_url": reverse("platforms:agreement_tick", args=[request.merchant.slug, account.pk]),
    }
    return render_page(request, "platforms/agreement_detail.html", context, status=status)


def _version(row: Agreement, tiers: dict[int, list[FeeTier]]) -> dict[str, Any]:
    return {
        "row": row,
        "tiers": [words.tier_words(tier) for tier in tiers.get(row.pk, [])],
        "rates": words.rate_summary(tiers.get(row.pk, [])),
        "fee_back": words.fee_back_words(row.fee_back_ppm),
        "cycle": words.cycle_words(days=row.cycle_days, working=row.working_days),
    }


def _items(ticks: dict[str, ChecklistTick]) -> list[dict[str, Any]]:
    return [{"name": name, "item": item, "tick": ticks.get(name)} for name, item in ITEMS.items()]


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_view("platforms.manage")
def agreement_change(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Enter the first version, or the next one."""
    account = _account_or_404(account_id)
    today = clock.business_date(clock.now())
    versions = found.versions_of(account_id)
    current = found.current_of(versions, today)
    usual = USUAL_TERMS[Platform(account.platform)]
    held = found.tiers_of([current.pk]).get(current.pk, []) if current is not None else usual.rules
    data = request.POST if request.method == "POST" else None
    form = AgreementForm(
        data,
        current=current,
        version=found.latest_version(account_id),
        usual=usual,
        today=today,
    )
    rates = tier_forms(data, held=held)
    if data is not None and form.is_valid() & rates.is_valid():
        try:
            agreements.enter_agreement(
                account_id=account_id,
                terms=form.terms(),
                tiers=rates.tiers(),
                effective_from=form.cleaned_data.get("effective_from"),
                expected=form.cleaned_data["expected"],
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
        except agreements.AgreementRefused as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        else:
            messages.success(request, _("Entered. Fees and refunds go by it from its day on."))
            return _to_agreement(request, account_id)
    context = {
        "account": account,
        "form": form,
        "groups": form.groups(),
        "rates": rates,
        "judged": data is not None,
        "is_first": not versions,
    }
    return render_page(
        request,
        "platforms/agreement_change.html",
        context,
        status=200 if data is None else 422,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_view("platforms.manage")
def agreement_withdraw(request: MerchantRequest, agreement_id: int) -> HttpResponse:
    """Take back a version whose day has not come, after asking."""
    try:
        agreement = found.get_agreement(agreement_id)
    except Agreement.DoesNotExist as error:
        raise Http404 from error
    if request.method != "POST":
        return render_page(request, "platforms/agreement_withdraw.html", {"agreement": agreement})
    try:
        agreements.withdraw_agreement(
            agreement_id=agreement_id,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except agreements.AgreementRefused as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, _("Withdrawn. What held before goes on."))
    return _to_agreement(request, agreement.account_id)


# A body is read as soon as the CSRF check looks for its token, so its length is judged before.
@csrf_exempt
@require_POST
@merchant_view("platforms.manage")
def paper_upload(request: MerchantRequest, account_id: int) -> HttpResponse:
    """A paper handed in."""
    if is_too_long(request, limit=MOST_BYTES):
        account = _account_or_404(account_id)
        return _detail(request, account, trouble=too_large_words(), status=422)
    return _take_paper(request, account_id)


@csrf_protect
def _take_paper(request: MerchantRequest, account_id: int) -> HttpResponse:
    account = _account_or_404(account_id)
    form = PaperForm(request.POST, request.FILES)
    if form.is_valid():
        file = form.cleaned_data["file"]
        try:
            documents.keep_document(
                account_id=account_id,
                title=form.cleaned_data["title"],
                filename=file.name,
                content=file.read(),
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
        except PaperRefused as refusal:
            form.add_error("file", refusal.message)
        else:
            messages.success(request, _("The paper is kept, encrypted."))
            return _to_agreement(request, account_id, "#papers")
    return _detail(request, account, paper=form, status=422)


@require_safe
@merchant_view("platforms.view")
def paper_download(request: MerchantRequest, document_id: int) -> HttpResponseBase:
    """A paper byte for byte as it was handed in."""
    document = _document_or_404(document_id)
    try:
        document, pieces = documents.read_document(
            document_id=document_id, actor=request.actor(), now=clock.now()
        )
    except CannotOpen:
        messages.error(
            request,
            _("This file cannot be decrypted: the key that sealed it is not in use any more."),
        )
        return _to_agreement(request, document.account_id, "#papers")
    return as_file(pieces, name=document.filename, size=document.byte_count)


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_view("platforms.manage")
def paper_delete(request: MerchantRequest, document_id: int) -> HttpResponse:
    """Delete a paper for good, after asking."""
    document = _document_or_404(document_id)
    if request.method == "POST":
        documents.delete_document(document_id=document_id, actor=request.actor(), now=clock.now())
        messages.success(request, _("The paper is deleted."))
        return _to_agreement(request, document.account_id, "#papers")
    return render_page(request, "platforms/paper_delete.html", {"document": document})


@require_POST
@merchant_view("platforms.manage")
def agreement_tick(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Tick an item of an account's checklist, or take the tick away."""
    account = _account_or_404(account_id)
    item = _tick(request, platform=account.platform, account_id=account_id)
    return _to_agreement(request, account_id, f"#item-{item}")


@require_safe
@merchant_view("platforms.view")
def before_signing(request: MerchantRequest, platform: str) -> HttpResponse:
    """What to look at before signing with a platform where there is no account yet."""
    if platform not in registry.connected_platforms():
        raise Http404
    usual = USUAL_TERMS[Platform(platform)]
    ticks = found.ticks_of(platform=platform, account=None)
    context = {
        "platform": platform,
        "items": _items(ticks),
        "done_count": sum(tick.is_done for tick in ticks.values()),
        "tick_url": reverse("platforms:before_tick", args=[request.merchant.slug, platform]),
        "usual": usual,
        "usual_rates": words.rate_summary(usual.rules),
        "usual_cycle": words.cycle_words(days=usual.cycle_days, working=usual.working_days),
        "usual_back": words.fee_back_words(usual.fee_back_ppm),
    }
    return render_page(request, "platforms/before_signing.html", context)


@require_POST
@merchant_view("platforms.manage")
def before_tick(request: MerchantRequest, platform: str) -> HttpResponse:
    """Tick an item where there is no account yet, or take the tick away."""
    item = _tick(request, platform=platform, account_id=None)
    here = reverse("platforms:before_signing", args=[request.merchant.slug, platform])
    return redirect(f"{here}#item-{item}")


def _tick(request: MerchantRequest, *, platform: str, account_id: int | None) -> str:
    form = TickForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("The remark may have 200 characters at most."))
        return str(request.POST.get("item", ""))[:24]
    try:
        agreements.tick(
            platform=platform,
            account_id=account_id,
            item=form.cleaned_data["item"],
            is_done=form.cleaned_data["done"],
            note=form.cleaned_data["note"],
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except (agreements.UnknownItem, AccountNotFound) as error:
        raise Http404 from error
    return str(form.cleaned_data["item"])
