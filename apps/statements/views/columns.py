"""Choosing which columns of a console export hold what."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from apps.core import clock
from apps.core.fields import is_too_long
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.gateway import StatementUnreadable
from apps.platforms.messages import explain_statement
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors import get_account
from apps.platforms.tables import Sample, gross_column, look
from apps.statements.forms import (
    ChooseForm,
    SampleForm,
    open_sample,
    seal_sample,
)
from apps.statements.selectors import columns_of, is_asked
from apps.statements.services import (
    ColumnsRefused,
    max_bytes,
    set_columns,
    too_large_sentence,
    try_columns,
)


def _account_or_404(account_id: int) -> PlatformAccount:
    try:
        account = get_account(account_id)
    except PlatformAccount.DoesNotExist as error:
        raise Http404 from error
    if not is_asked(account.platform):
        raise Http404
    return account


def _page(
    request: MerchantRequest, account: PlatformAccount, *, status: int = 200, **more: Any
) -> HttpResponse:
    chosen = columns_of(account.pk)
    context = {
        "account": account,
        "chosen": chosen,
        "chosen_rows": ChooseForm.named(chosen.mapping) if chosen else [],
        "upload": more.get("upload") or SampleForm(),
        **more,
    }
    return render(request, "statements/columns_edit.html", context, status=status)


# A body is read as soon as the CSRF check looks for its token, so its length is judged before.
@csrf_exempt
@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def columns_edit(request: MerchantRequest, account_id: int) -> HttpResponse:
    """An account's column map: from an uploaded file's headings, tried on its first rows before it is kept."""
    if is_too_long(request, limit=max_bytes()):
        account = _account_or_404(account_id)
        return _page(request, account, trouble=too_large_sentence(), status=422)
    return _edit(request, account_id)


@csrf_protect
def _edit(request: MerchantRequest, account_id: int) -> HttpResponse:
    account = _account_or_404(account_id)
    if request.method != "POST":
        return _page(request, account)
    if "sample" in request.POST:
        return _choose(request, account)
    upload = SampleForm(request.POST, request.FILES)
    if not upload.is_valid():
        return _page(request, account, upload=upload, status=422)
    try:
        sample = look(upload.cleaned_data["file"].read())
    except StatementUnreadable as error:
        upload.add_error("file", str(explain_statement(error)))
        return _page(request, account, upload=upload, status=422)
    chosen = columns_of(account.pk)
    form = ChooseForm(sample=sample, mapping=chosen.mapping if chosen else None)
    return _page(request, account, form=form, sample=sample, sealed=seal_sample(sample))


def _choose(request: MerchantRequest, account: PlatformAccount) -> HttpResponse:
    sample = open_sample(request.POST["sample"])
    if sample is None:
        return _page(
            request,
            account,
            trouble=_("Choose the file again: its beginning has expired."),
            status=422,
        )
    form = ChooseForm(request.POST, sample=sample)
    if not form.is_valid():
        return _again(request, account, form, sample)
    mapping = form.mapping()
    # A net amount that nobody insists on is shown before it is kept: by it, every row would be off by its fee.
    gross = gross_column(sample, mapping)
    keep = "save" in request.POST and (not gross or request.POST.get("net") == mapping["amount"])
    try:
        lines = try_columns(sample=sample, mapping=mapping)
        if keep:
            set_columns(
                account_id=account.pk,
                mapping=mapping,
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
    except ColumnsRefused as error:
        form.add_error(error.field or None, error.message)
        return _again(request, account, form, sample)
    if not keep:
        return _page(
            request,
            account,
            form=form,
            sample=sample,
            sealed=seal_sample(sample),
            lines=lines,
            gross=gross,
            net=mapping["amount"] if gross else "",
        )
    messages.success(
        request,
        _("The columns are kept. Exports of %(account)s are read by them from now on.")
        % {"account": account.label},
    )
    url = reverse("statements:statement_upload", args=[request.merchant.slug])
    return redirect(f"{url}?account={account.pk}")


def _again(
    request: MerchantRequest, account: PlatformAccount, form: ChooseForm, sample: Sample
) -> HttpResponse:
    return _page(request, account, form=form, sample=sample, sealed=seal_sample(sample), status=422)
