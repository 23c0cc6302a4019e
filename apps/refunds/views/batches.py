"""Refunds of many payments: choosing, the preview, watching, stopping, the results as a file."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.core import signing
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.approvals.selectors import decisions_of, members_who_may
from apps.core import clock, keyset
from apps.core.htmx import render_page
from apps.core.money import Money
from apps.core.names import named
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.selectors import list_stores
from apps.platforms.selectors import list_accounts
from apps.qrcodes.models import QRCode
from apps.refunds import batchwords
from apps.refunds.forms import BatchForm
from apps.refunds.models import BatchState, RefundBatch, RefundBatchRow, ShareKind
from apps.refunds.rulefacts import OUTCOMES
from apps.refunds.selectors import (
    MOST_ROWS,
    PAGE,
    ROW_GROUPS,
    BatchWish,
    all_rows,
    batch_names,
    get_batch,
    is_moving,
    list_batches,
    may_try_again,
    names_of_wish,
    outcomes_of,
    page_rows,
    preview,
    progress_of,
    wish_of,
)
from apps.refunds.services import (
    BatchChanged,
    NothingChosen,
    NotNow,
    cancel_batch,
    pause_batch,
    resume_batch,
    retry_batch,
    start_batch,
)

_SALT: Final = "refunds.batch"
#: A preview older than this is shown again before anything is done.
_CONFIRM_WITHIN: Final = timedelta(hours=2)
_PLACES: Final = ("after", "left_after")


@merchant_view("refunds.view")
@require_safe
def batch_list(request: MerchantRequest) -> HttpResponse:
    """The latest batches."""
    rows = [
        {"batch": batch, "share": batchwords.share_words(batch.share_kind, batch.share_value)}
        for batch in list_batches()
    ]
    return render(request, "refunds/batch_list.html", {"rows": rows})


def _form(request: MerchantRequest, data: Any = None, initial: Any = None) -> BatchForm:
    codes = QRCode.objects.visible().select_related("scenario", "store").order_by("-pk")
    accounts = list_accounts().defer("credentials_sealed")
    return BatchForm(
        data,
        initial=initial,
        codes=list(codes),
        stores=list(list_stores()),
        platforms=sorted({account.platform for account in accounts}),
    )


def _place(request: MerchantRequest, name: str) -> int:
    return keyset.decode_id(request.GET.get(name, "")) or 0


@merchant_view("refunds.batch")
@require_http_methods(["GET", "HEAD", "POST"])
def batch_create(request: MerchantRequest) -> HttpResponse:
    """Choose payments, see what would happen, and do it. The address holds what was chosen; ``preview`` asks for the preview."""
    if request.method == "POST":
        return _confirmed(request)
    if "preview" not in request.GET:
        initial = {name: request.GET.get(name, "") for name in BatchForm.FILTERS}
        form = _form(request, initial={"share_kind": ShareKind.WHOLE.value, **initial})
        return render(request, "refunds/batch_create.html", {"form": form})
    form = _form(request, request.GET)
    if not form.is_valid():
        return render(request, "refunds/batch_create.html", {"form": form}, status=422)
    return _show(request, form, form.wish())


def _show(
    request: MerchantRequest, form: BatchForm, wish: BatchWish, *, note: str = "", status: int = 200
) -> HttpResponse:
    choice = preview(
        wish,
        member_id=request.member.pk,
        now=clock.now(),
        after=_place(request, "after"),
        left_after=_place(request, "left_after"),
    )
    approvers = []
    if choice.confirmations:
        members = members_who_may(
            permission=choice.permission, store_id=choice.store_id, besides=request.member.pk
        )
        approvers = [member.user.display_name for member in members]
    facts = [wish.as_json(), choice.seal, choice.confirmations, choice.permission]
    context = {
        "form": form,
        "note": note,
        "choice": choice,
        "whole": choice.whole,
        "left_whole": choice.left_whole,
        "too_many": choice.is_too_many,
        "most": MOST_ROWS,
        "share": batchwords.share_words(wish.share_kind, wish.share_value),
        "chosen_by": batchwords.wish_words(wish, names_of_wish(wish)),
        "outcomes": batchwords.outcome_facts(
            {code: (part.count, part.minor) for code, part in choice.outcomes.items()}
        ),
        "left_out": [
            {"words": batchwords.why_words(why), "part": part}
            for why, part in sorted(choice.left_out.items(), key=lambda one: -one[1].count)
        ],
        "rows": [
            {"row": row, "words": batchwords.outcome_words(OUTCOMES[row.outcome])}
            for row in choice.rows[:PAGE]
        ],
        "left_rows": [
            {"row": row, "words": batchwords.why_words(row.why)} for row in choice.left_rows[:PAGE]
        ],
        "after": choice.rows[PAGE - 1].place if len(choice.rows) > PAGE else None,
        "left_after": choice.left_rows[PAGE - 1].place if len(choice.left_rows) > PAGE else None,
        "approvers": approvers,
        "too_few": len(approvers) < choice.confirmations,
        "asked": signing.dumps(
            [request.merchant.pk, request.member.pk, get_random_string(20), *facts], salt=_SALT
        ),
    }
    return render(request, "refunds/batch_create.html", context, status=status)


def _confirmed(request: MerchantRequest) -> HttpResponse:
    """The preview came back: do it, or show it again where it is no longer what would happen."""
    token = request.POST.get("asked", "")
    fresh = True
    try:
        facts = signing.loads(token, salt=_SALT, max_age=_CONFIRM_WITHIN)
    except signing.SignatureExpired:
        facts, fresh = signing.loads(token, salt=_SALT), False
    except signing.BadSignature:
        facts = []
    if facts[:2] != [request.merchant.pk, request.member.pk]:
        messages.error(request, _("This page was not complete any more. Please fill it in again."))
        return redirect("refunds:batch_create", request.merchant.slug)
    _merchant, _member, nonce, asked, seal, confirmations, permission = facts
    wish = wish_of(asked)
    changed = _("What would happen has changed since this page was opened. Please read it again.")
    if not fresh:
        return _show(request, _form(request, _typed(wish)), wish, note=changed, status=409)
    try:
        batch = start_batch(
            wish=wish,
            seal=seal,
            cover=(confirmations, permission),
            nonce=nonce,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except (BatchChanged, NothingChosen):
        return _show(request, _form(request, _typed(wish)), wish, note=changed, status=409)
    if batch.state == BatchState.WAITING:
        messages.success(request, _("Asked for. It begins once it is confirmed."))
    return redirect("refunds:batch_detail", request.merchant.slug, batch.pk)


def _typed(wish: BatchWish) -> dict[str, Any]:
    """A wish as the form's fields."""
    yuan = {
        name: "" if minor is None else Money(minor).to_yuan()
        for name, minor in (("amount_min", wish.amount_min), ("amount_max", wish.amount_max))
    }
    return {
        "code": wish.code_id or "",
        "code_kind": wish.code_kind,
        "store": wish.store_id or "",
        "platform": wish.platform,
        "date_from": wish.date_from or "",
        "date_to": wish.date_to or "",
        **yuan,
        "share_kind": wish.share_kind,
        "percent": f"{wish.share_value / 100:g}" if wish.share_kind == ShareKind.PERCENT else "",
        "fixed": Money(wish.share_value).to_yuan() if wish.share_kind == ShareKind.FIXED else "",
        "reason": wish.reason,
        "reason_code": wish.reason_code,
    }


def _batch_or_404(batch_id: int) -> RefundBatch:
    batch = get_batch(batch_id)
    if batch is None:
        raise Http404
    return batch


@merchant_view("refunds.view")
@require_safe
def batch_detail(request: MerchantRequest, refund_batch_id: int) -> HttpResponse:
    """How far a batch is, what became of each row, and what can be done."""
    batch = _batch_or_404(refund_batch_id)
    progress = progress_of(batch)
    what = request.GET.get("what", "")
    what = what if what in ROW_GROUPS else ""
    rows, after = page_rows(batch, what=what, after=_place(request, "after"))
    may_batch = "refunds.batch" in request.permissions
    approval = batch.approval
    decisions = decisions_of(approval.pk) if approval is not None else []
    may_decide = (
        batch.state == BatchState.WAITING
        and batch.permission in request.permissions
        and batch.requested_by_id != request.member.pk
        and all(row.member_id != request.member.pk for row in decisions)
    )
    wish = wish_of(batch.wish)
    context = {
        "batch": batch,
        "live": is_moving(batch, progress),
        # What waits for a person or for money changes seldom.
        "every": 2 if batch.state == BatchState.RUNNING or progress.of("under_way").count else 15,
        "ended": progress.ended,
        "tiles": [
            {"key": key, "words": batchwords.GROUPS[key], "tally": progress.of(key)}
            for key in ROW_GROUPS
            if progress.of(key).count
        ],
        "what": what,
        "what_words": batchwords.GROUPS.get(what, ""),
        "share": batchwords.share_words(batch.share_kind, batch.share_value),
        "chosen_by": batchwords.wish_words(wish, batch_names(batch)),
        "outcomes": batchwords.outcome_facts(outcomes_of(batch)),
        "left_out": [
            {"words": batchwords.why_words(why), "count": count, "minor": minor}
            for why, (count, minor) in sorted(batch.left_out.items())
        ],
        "decisions": decisions,
        "may_decide": may_decide,
        "may_pause": may_batch and batch.state == BatchState.RUNNING,
        "may_resume": may_batch and batch.state == BatchState.PAUSED,
        "may_cancel": may_batch
        and batch.state in {BatchState.WAITING, BatchState.RUNNING, BatchState.PAUSED},
        "may_retry": may_batch and may_try_again(batch, progress),
        "failed": progress.of("failed").count,
        "rows": [{"row": row, "words": batchwords.row_words(row)} for row in rows],
        "after": after,
    }
    return render_page(request, "refunds/batch_detail.html", context, partial="batch")


@merchant_view("refunds.batch")
@require_http_methods(["GET", "HEAD", "POST"])
def batch_act(request: MerchantRequest, refund_batch_id: int) -> HttpResponse:
    """Pause, resume, stop or try again; stopping is asked about first."""
    batch = _batch_or_404(refund_batch_id)
    detail = redirect("refunds:batch_detail", request.merchant.slug, batch.pk)
    if request.method != "POST":
        return render(request, "refunds/batch_cancel.html", {"batch": batch})
    acts = {
        "pause": (pause_batch, _("Paused. What is sent already goes its way.")),
        "resume": (resume_batch, _("It goes on.")),
        "cancel": (cancel_batch, _("Stopped. What is sent already goes its way.")),
        "retry": (retry_batch, _("What failed is tried again.")),
    }
    act = acts.get(request.POST.get("act", ""))
    if act is None:
        return detail
    do, words = act
    try:
        do(batch_id=batch.pk, actor=request.actor(), now=clock.now())
    except NotNow:
        messages.info(request, _("That is no longer possible: the batch stands as shown here."))
    else:
        messages.success(request, words)
    return detail


@merchant_view("refunds.view")
@require_safe
def batch_results(request: MerchantRequest, refund_batch_id: int) -> HttpResponse:
    """What became of each row, as a CSV file."""
    batch = _batch_or_404(refund_batch_id)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(
        [
            _("Payment number"),
            _("For"),
            _("Store"),
            _("Paid at (China time)"),
            _("Paid (¥)"),
            _("Asked for (¥)"),
            _("Refunded (¥)"),
            _("Refund number"),
            _("Result"),
            _("Why"),
            _("Refunded at (China time)"),
        ]
    )
    for row in all_rows(batch):
        writer.writerow(_cells(row))
    # With a mark, so that Excel reads the Chinese.
    response = HttpResponse(
        out.getvalue().encode("utf-8-sig"), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = (
        f'attachment; filename="{request.merchant.slug}-refunds-{batch.created_at.astimezone(clock.CHINA):%Y%m%d}-{batch.pk}.csv"'
    )
    return response


def _cells(row: RefundBatchRow) -> list[str]:
    payment, refund = row.payment, row.made
    times = [payment.paid_at, refund.refunded_at if refund is not None else None]
    paid, refunded = (
        at.astimezone(clock.CHINA).strftime("%Y-%m-%d %H:%M:%S") if at else "" for at in times
    )
    state = refund.get_state_display() if refund is not None else row.get_state_display()
    return [
        payment.order_no,
        _text(payment.order.subject),
        _text(named(payment.store)) if payment.store else "",
        paid,
        Money(payment.amount_minor).to_yuan(),
        Money(row.amount_minor).to_yuan(),
        Money(row.amount_minor if refunded else 0).to_yuan(),
        row.refund_no,
        str(state),
        _text(batchwords.row_words(row)),
        refunded,
    ]


def _text(words: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{words}" if words.lstrip()[:1] in tuple("=+-@＝＋－＠\t\r") else words
