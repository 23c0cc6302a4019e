"""What could happen, what is done about it, and when it was last looked at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.core import clock
from apps.merchants.access import MerchantRequest, merchant_view
from apps.risk.forms import ReviewForm
from apps.risk.models import Harm, Likelihood, RiskReview
from apps.risk.selectors import current_reviews, get_review, possible_owners, review_history
from apps.risk.services import ReviewRefused, review_risk
from apps.risk.views.rules import whole_merchant
from apps.risk.wording import SUGGESTIONS

#: When the next look is usual.
_AGAIN: Final = timedelta(days=180)


@merchant_view("risk.view")
@require_safe
def assessment(request: MerchantRequest) -> HttpResponse:
    """All risks, those to be looked at first on top; suggestions for what is not there yet."""
    whole_merchant(request)
    rows = current_reviews()
    known = {row.what for row in rows}
    context = {
        "rows": rows,
        "today": clock.business_date(clock.now()),
        "suggestions": [
            {"place": place, "what": what, "measure": measure}
            for place, (what, measure, _likelihood, _harm) in enumerate(SUGGESTIONS)
            if str(what) not in known
        ],
        "may_change": "risk.manage" in request.permissions,
    }
    return render(request, "risk/assessment.html", context)


def _suggested(request: MerchantRequest) -> dict[str, Any]:
    place = request.GET.get("from", "")
    if not place.isascii() or not place.isdigit() or int(place) >= len(SUGGESTIONS):
        return {"likelihood": Likelihood.POSSIBLE.value, "harm": Harm.MIDDLE.value}
    what, measure, likelihood, harm = SUGGESTIONS[int(place)]
    return {"what": str(what), "measure": str(measure), "likelihood": likelihood, "harm": harm}


@merchant_view("risk.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def review_new(request: MerchantRequest) -> HttpResponse:
    """Write down a risk."""
    whole_merchant(request)
    return _review(request, None, {"seen_version": 0, **_suggested(request)})


@merchant_view("risk.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def review_change(request: MerchantRequest, risk_id: int) -> HttpResponse:
    """Look at a risk again: each look is kept."""
    whole_merchant(request)
    row = get_review(risk_id)
    if row is None:
        raise Http404
    initial = {
        "seen_version": row.version,
        "what": row.what,
        "measure": row.measure,
        "likelihood": row.likelihood,
        "harm": row.harm,
        "owner": row.owner_id,
    }
    return _review(request, row, initial)


def _review(
    request: MerchantRequest, row: RiskReview | None, initial: dict[str, Any]
) -> HttpResponse:
    now = clock.now()
    today = clock.business_date(now)
    owners = possible_owners()
    form = ReviewForm(
        request.POST if request.method == "POST" else None,
        owners=owners,
        today=today,
        initial={"next_review_date": today + _AGAIN, **initial},
    )
    note = ""
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data
        try:
            review_risk(
                number=row.number if row else None,
                seen_version=typed["seen_version"],
                what=typed["what"],
                measure=typed["measure"],
                likelihood=typed["likelihood"],
                harm=typed["harm"],
                owner=next((user for user in owners if user.pk == typed["owner"]), None),
                next_review_date=typed["next_review_date"],
                is_gone=typed["is_gone"],
                member=request.member,
                actor=request.actor(),
                today=today,
                now=now,
            )
        except ReviewRefused:
            note = _("Somebody has reviewed this meanwhile. Look at it, then begin again.")
        else:
            messages.success(request, _("Saved."))
            return redirect("risk:assessment", request.merchant.slug)
    context = {
        "form": form,
        "row": row,
        "note": note,
        "history": review_history(row.number) if row else [],
    }
    status = 422 if form.errors else 409 if note else 200
    return render(request, "risk/review_form.html", context, status=status)
