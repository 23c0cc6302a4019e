"""The doctor's page: what was found last, and examining anew, account by account."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.core import clock
from apps.core.htmx import render_page, wants_fragment
from apps.merchants.access import MerchantRequest, merchant_view
from apps.operations import doctor, services
from apps.operations.doctor import Examination, State, notebook
from apps.operations.doctor.words import Told, tell
from apps.platforms import selectors
from apps.platforms.models import PlatformAccount

TEMPLATE = "operations/doctor.html"
#: How a state is drawn: icon and tone.
_LOOKS = {
    State.OK: ("circle-check", "ok"),
    State.WARNING: ("alert-triangle", "wait"),
    State.BROKEN: ("circle-x", "bad"),
    State.UNKNOWN: ("help-circle", "ask"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One finding as the page draws it."""

    told: Told
    icon: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One account, or the portal itself (None), with what was found. ``runs``: it is being examined now."""

    account: PlatformAccount | None
    examination: Examination | None
    run_url: str
    rehearse_url: str = ""
    runs: bool = False

    @property
    def key(self) -> int:
        """Its id on the page."""
        return self.account.pk if self.account is not None else notebook.HOUSE

    @property
    def lines(self) -> list[Line]:
        """What is not in order, the worst first."""
        return self._drawn(State.BROKEN, State.WARNING, State.UNKNOWN)

    @property
    def in_order(self) -> list[Line]:
        """What is."""
        return self._drawn(State.OK)

    def _drawn(self, *states: State) -> list[Line]:
        found = self.examination.findings if self.examination is not None else ()
        return [
            Line(tell(finding), *_LOOKS[state])
            for state in states
            for finding in found
            if finding.state is state
        ]


def _house(request: MerchantRequest, *, runs: bool = False) -> Sheet:
    return Sheet(
        account=None,
        examination=notebook.latest(notebook.HOUSE),
        run_url=reverse("operations:doctor_house", args=[request.merchant.slug]),
        runs=runs,
    )


def _sheet(
    request: MerchantRequest,
    account: PlatformAccount,
    *,
    found: Examination | None = None,
    runs: bool = False,
) -> Sheet:
    place = [request.merchant.slug, account.pk]
    rehearse = doctor.may_rehearse(account) and account.is_active
    return Sheet(
        account=account,
        examination=found or notebook.latest(account.pk),
        run_url=reverse("operations:doctor_account", args=place),
        rehearse_url=reverse("operations:doctor_rehearse", args=place) if rehearse else "",
        runs=runs,
    )


def _account_or_404(account_id: int) -> PlatformAccount:
    try:
        return selectors.get_account(account_id)
    except PlatformAccount.DoesNotExist as error:
        raise Http404 from error


def _page(request: MerchantRequest, *, runs: bool = False) -> HttpResponse:
    sheets = [_house(request, runs=runs)]
    sheets += [_sheet(request, account, runs=runs) for account in selectors.list_accounts()]
    seen = [sheet.examination for sheet in sheets if sheet.examination is not None]
    context = {
        "sheets": sheets,
        "runs": runs,
        "all_well": len(seen) == len(sheets) and all(one.is_well for one in seen),
        "now": clock.now(),
        "has_simulator": bool(settings.SIMULATOR_URL),
    }
    return render_page(request, TEMPLATE, context, partial="sheets")


def _tell_unkept(request: MerchantRequest, found: Examination) -> None:
    """What is not kept would be gone with the redirect."""
    for finding in found.troubles:
        if finding.code == doctor.SIMULATOR_OFF:
            told = tell(finding)
            messages.error(request, f"{told.title} {told.fix}")


def _done(request: MerchantRequest, sheet: Sheet) -> HttpResponse:
    """The sheet alone for the page's script, else the page."""
    if wants_fragment(request):
        context = {"sheet": sheet, "now": clock.now()}
        return render_page(request, TEMPLATE, context, partial="sheet")
    here = reverse("operations:doctor", args=[request.merchant.slug])
    return redirect(f"{here}#sheet-{sheet.key}")


@require_safe
@merchant_view("platforms.view")
def doctor_page(request: MerchantRequest) -> HttpResponse:
    """What was found last; nothing is examined by looking."""
    return _page(request)


@require_POST
@merchant_view("platforms.manage")
def doctor_run(request: MerchantRequest) -> HttpResponse:
    """Examine everything: with the page's script each sheet asks for itself, else one after another."""
    if wants_fragment(request):
        return _page(request, runs=True)
    for found in services.examine_all(actor=request.actor()):
        _tell_unkept(request, found)
    return redirect("operations:doctor", request.merchant.slug)


@require_POST
@merchant_view("platforms.manage")
def doctor_house(request: MerchantRequest) -> HttpResponse:
    """Examine the portal itself."""
    services.examine_house(now=clock.now())
    return _done(request, _house(request))


@require_POST
@merchant_view("platforms.manage")
def doctor_account(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Examine one account."""
    account = _account_or_404(account_id)
    found = services.examine_account(account, now=clock.now(), actor=request.actor())
    if not wants_fragment(request):
        _tell_unkept(request, found)
    return _done(request, _sheet(request, account, found=found))


@require_POST
@merchant_view("platforms.manage")
def doctor_rehearse(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Pay one fen and give it back, at the simulator only."""
    account = _account_or_404(account_id)
    try:
        made = doctor.rehearse(account, actor=request.actor(), member=request.member)
    except doctor.RehearsalRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("operations:doctor", request.merchant.slug)
    words = " ".join(
        _("%(title)s (%(seconds)s s)") % {"title": step.title, "seconds": step.seconds}
        for step in made.steps
    )
    if made.passed:
        messages.success(request, words)
    else:
        messages.error(request, words)
    if made.order_id:
        return redirect("reports:order_detail", request.merchant.slug, made.order_id)
    return redirect("operations:doctor", request.merchant.slug)
