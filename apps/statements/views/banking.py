"""Bank accounts: adding one, saying which columns hold what, uploading statements."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from apps.core import clock
from apps.core.fields import is_too_long
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.gateway import StatementUnreadable
from apps.platforms.tables import look
from apps.statements.bank_wording import unreadable_words
from apps.statements.forms import (
    BankAccountForm,
    BankChooseForm,
    BankSampleForm,
    BankUploadForm,
    open_sample,
    seal_sample,
)
from apps.statements.models import BankAccount
from apps.statements.selectors.settlements import get_bank_account, list_bank_accounts
from apps.statements.services import (
    MOST_BYTES,
    BankAccountTaken,
    BankFileRefused,
    ColumnsRefused,
    add_bank_account,
    set_bank_columns,
    take_bank_file,
    too_large_words,
    try_bank_columns,
)

#: Reasons of ``BankFileRefused`` that other columns may take out of the way.
_COLUMN_TROUBLES = frozenset(
    {"other_format", "column_missing", "column_twice", "unknown_word", "no_columns"}
)


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def bank_account_create(request: MerchantRequest) -> HttpResponse:
    """A new bank account; then its columns."""
    form = BankAccountForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = add_bank_account(
                name=form.cleaned_data["name"], actor=request.actor(), now=clock.now()
            )
        except BankAccountTaken:
            form.add_error("name", _("Another bank account has this name."))
        else:
            return redirect("settlements:bank_columns", request.merchant.slug, made.pk)
    status = 422 if form.errors else 200
    return render(request, "statements/bank_account_create.html", {"form": form}, status=status)


def _upload_page(
    request: MerchantRequest,
    *,
    form: BankUploadForm | None = None,
    trouble: str = "",
    columns_of: BankAccount | None = None,
    status: int = 200,
) -> HttpResponse:
    accounts = list_bank_accounts()
    place = {}
    if request.GET.get("account", "").isdecimal():
        place["bank_account"] = request.GET["account"]
    context = {
        "accounts": accounts,
        "form": form or BankUploadForm(accounts=accounts, initial=place),
        "trouble": trouble,
        "columns_of": columns_of,
    }
    return render(request, "statements/bank_upload.html", context, status=status)


# A body is read as soon as the CSRF check looks for its token, so its length is judged before.
@csrf_exempt
@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def bank_upload(request: MerchantRequest) -> HttpResponse:
    """A bank statement handed in: each movement stored once, then matched with the settlements."""
    if is_too_long(request, limit=MOST_BYTES):
        return _upload_page(request, trouble=too_large_words(), status=422)
    return _take_upload(request)


@csrf_protect
def _take_upload(request: MerchantRequest) -> HttpResponse:
    if request.method != "POST":
        return _upload_page(request)
    accounts = list_bank_accounts()
    form = BankUploadForm(request.POST, request.FILES, accounts=accounts)
    if not form.is_valid():
        return _upload_page(request, form=form, status=422)
    file = form.cleaned_data["file"]
    try:
        result, made = take_bank_file(
            bank_account_id=form.cleaned_data["bank_account"],
            filename=file.name,
            content=file.read(),
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except BankFileRefused as refused:
        form.add_error("file", refused.message)
        chosen = next(
            (row for row in accounts if row.pk == form.cleaned_data["bank_account"]), None
        )
        columns_of = chosen if refused.reason in _COLUMN_TROUBLES else None
        return _upload_page(request, form=form, columns_of=columns_of, status=422)
    if not result.new:
        messages.info(
            request, _("All movements of this statement are here already. Nothing changed.")
        )
        return redirect("settlements:bank_line_list", request.merchant.slug)
    words = [
        ngettext(
            "%(count)d new movement is stored.", "%(count)d new movements are stored.", result.new
        )
        % {"count": result.new}
    ]
    if made:
        words.append(
            ngettext(
                "%(count)d payout was found and booked.",
                "%(count)d payouts were found and booked.",
                len(made),
            )
            % {"count": len(made)}
        )
    messages.success(request, " ".join(words))
    return redirect("settlements:money_where", request.merchant.slug)


def _account_or_404(bank_account_id: int) -> BankAccount:
    try:
        return get_bank_account(bank_account_id)
    except BankAccount.DoesNotExist as error:
        raise Http404 from error


def _columns_page(
    request: MerchantRequest, account: BankAccount, *, status: int = 200, **more: Any
) -> HttpResponse:
    context = {
        "account": account,
        "chosen_rows": BankChooseForm.named(account.mapping),
        "upload": more.get("upload") or BankSampleForm(),
        **more,
    }
    return render(request, "statements/bank_columns.html", context, status=status)


@csrf_exempt
@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def bank_columns(request: MerchantRequest, bank_account_id: int) -> HttpResponse:
    """A bank account's column map: from an uploaded file's headings, tried on its first rows before it is kept."""
    if is_too_long(request, limit=MOST_BYTES):
        account = _account_or_404(bank_account_id)
        return _columns_page(request, account, trouble=too_large_words(), status=422)
    return _edit_columns(request, bank_account_id)


@csrf_protect
def _edit_columns(request: MerchantRequest, bank_account_id: int) -> HttpResponse:
    account = _account_or_404(bank_account_id)
    if request.method != "POST":
        return _columns_page(request, account)
    if "sample" in request.POST:
        return _choose_columns(request, account)
    upload = BankSampleForm(request.POST, request.FILES)
    if not upload.is_valid():
        return _columns_page(request, account, upload=upload, status=422)
    try:
        sample = look(upload.cleaned_data["file"].read(), is_bill=False)
    except StatementUnreadable as error:
        upload.add_error("file", unreadable_words(error))
        return _columns_page(request, account, upload=upload, status=422)
    form = BankChooseForm(sample=sample, mapping=account.mapping)
    return _columns_page(request, account, form=form, sample=sample, sealed=seal_sample(sample))


def _choose_columns(request: MerchantRequest, account: BankAccount) -> HttpResponse:
    sample = open_sample(request.POST["sample"])
    if sample is None:
        trouble = _("Choose the file again: its beginning has expired.")
        return _columns_page(request, account, trouble=trouble, status=422)
    form = BankChooseForm(request.POST, sample=sample)
    shown: dict[str, Any] = {"form": form, "sample": sample, "sealed": seal_sample(sample)}
    if not form.is_valid():
        return _columns_page(request, account, status=422, **shown)
    mapping = form.mapping()
    try:
        rows = try_bank_columns(sample=sample, mapping=mapping)
        if "save" in request.POST:
            set_bank_columns(
                bank_account_id=account.pk,
                mapping=mapping,
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
    except ColumnsRefused as error:
        form.add_error(error.field or None, error.message)
        return _columns_page(request, account, status=422, **shown)
    if "save" not in request.POST:
        return _columns_page(request, account, rows=rows, **shown)
    messages.success(
        request,
        _("The columns are kept. Statements of %(account)s are read by them from now on.")
        % {"account": account.name},
    )
    url = reverse("settlements:bank_upload", args=[request.merchant.slug])
    return redirect(f"{url}?account={account.pk}")
