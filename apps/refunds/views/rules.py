"""The refund rules: what holds, the draft and its rules one by one, publishing, earlier versions."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.approvals.selectors import members_who_may, needs_another
from apps.core import clock
from apps.core.rules import BadBook, Book
from apps.core.rules.book import MOST_RULES
from apps.merchants.access import MerchantRequest, merchant_view
from apps.refunds import rulewords
from apps.refunds.forms import OtherwiseForm, PublishForm, RuleForm, initial_of, suggested_rule
from apps.refunds.models import DraftState, RefundRuleDraft
from apps.refunds.rulefacts import refund_book
from apps.refunds.selectors import (
    book_history,
    book_in_force,
    book_numbered,
    current_draft,
    decision_of,
    facts_of,
    get_refund,
    planned_book,
    problems_of,
    store_names,
)
from apps.refunds.services import (
    ChangedMeanwhile,
    NotPublishable,
    drop_draft,
    publish_draft,
    write_draft,
)
from apps.refunds.services.rules import PUBLISH_PERMISSION

_MANAGE: Final = "rules.manage"


@merchant_view("rules.view")
@require_safe
def rule_edit(request: MerchantRequest) -> HttpResponse:
    """Where the rule with one threshold stood."""
    return redirect("refunds:rule_book", request.merchant.slug, permanent=True)


@merchant_view("rules.view")
@require_safe
def rule_book(request: MerchantRequest) -> HttpResponse:
    """The rules in force as sentences, what is planned, the draft if there is one, all versions."""
    now, stores = clock.now(), store_names()
    book, planned, history = book_in_force(now), planned_book(now), book_history()
    context = {
        "book": book,
        "lines": rulewords.lines(refund_book(book.content), stores),
        "planned": planned,
        "planned_lines": rulewords.lines(refund_book(planned.content), stores) if planned else [],
        "history": history,
        "draft": current_draft(),
        "may_change": _MANAGE in request.permissions,
    }
    return render(request, "refunds/rule_book.html", context)


@merchant_view("rules.view")
@require_http_methods(["GET", "HEAD", "POST"])
def rule_version(request: MerchantRequest, book_number: int) -> HttpResponse:
    """One version; a POST by who may begins a draft with its rules."""
    book = book_numbered(book_number)
    if book is None:
        raise Http404
    may_change = _MANAGE in request.permissions
    if request.method == "POST":
        if not may_change:
            return HttpResponse(status=403)
        return _write(request, book.content, revision=_revision(request))
    context = {
        "book": book,
        "lines": rulewords.lines(refund_book(book.content), store_names()),
        "in_force": book.number == book_in_force(clock.now()).number,
        "draft": current_draft(),
        "may_change": may_change,
    }
    return render(request, "refunds/rule_version.html", context)


def _revision(request: MerchantRequest) -> int:
    text = request.POST.get("revision", "")
    return int(text) if text.isdecimal() and len(text) < 10 else -1


def _changed(request: MerchantRequest) -> HttpResponse:
    messages.warning(request, _("The draft was changed meanwhile. Look at it, then try again."))
    return redirect("refunds:rule_draft", request.merchant.slug)


def _write(
    request: MerchantRequest, content: dict[str, Any], *, revision: int, said: str = ""
) -> HttpResponse:
    try:
        write_draft(
            content=content,
            revision=revision,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except ChangedMeanwhile:
        return _changed(request)
    if said:
        messages.success(request, said)
    return redirect("refunds:rule_draft", request.merchant.slug)


def _written() -> tuple[dict[str, Any], RefundRuleDraft | None]:
    """The rules being written: the draft's, or those in force where there is none."""
    draft = current_draft()
    return (draft.content if draft else book_in_force(clock.now()).content), draft


@merchant_view("rules.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def rule_draft(request: MerchantRequest) -> HttpResponse:
    """The draft: its rules with what is wrong with them; a POST moves or removes one, changes the rest, or drops it all."""
    content, draft = _written()
    if request.method == "POST":
        return _change(request, content)
    stores = store_names()
    book = refund_book(content)
    problems = {one.number: rulewords.problem_words(one) for one in problems_of(book, stores)}
    context = {
        "draft": draft,
        "waiting": draft is not None and draft.state == DraftState.WAITING,
        "entries": [
            {"line": line, "problem": problems.get(line.number, "")}
            for line in rulewords.lines(book, stores)
        ],
        "publishable": draft is not None and not any(number for number in problems),
        "otherwise": OtherwiseForm(
            initial={"revision": draft.revision if draft else 0, "otherwise": book.otherwise}
        ),
        "revision": draft.revision if draft else 0,
        "full": len(book.rules) >= MOST_RULES,
        "others": members_who_may(
            permission=PUBLISH_PERMISSION, store_id=None, besides=request.member.pk
        ),
    }
    return render(request, "refunds/rule_draft.html", context)


def _change(request: MerchantRequest, content: dict[str, Any]) -> HttpResponse:
    """What a button of the draft's page does."""
    revision, act = _revision(request), request.POST.get("act", "")
    if act == "drop":
        try:
            drop_draft(revision=revision, actor=request.actor(), now=clock.now())
        except ChangedMeanwhile:
            return _changed(request)
        return redirect("refunds:rule_book", request.merchant.slug)
    if act == "otherwise":
        form = OtherwiseForm(request.POST)
        if not form.is_valid():
            return _changed(request)
        changed = {**content, "otherwise": form.cleaned_data["otherwise"]}
        return _write(request, changed, revision=revision, said=_("Saved in the draft."))
    rules = list(content["rules"])
    number = request.POST.get("rule", "")
    place = int(number) - 1 if number.isdecimal() and len(number) < 4 else -1
    if not 0 <= place < len(rules):
        return _changed(request)
    rule = rules.pop(place)
    if act == "earlier":
        rules.insert(max(0, place - 1), rule)
    elif act == "later":
        rules.insert(place + 1, rule)
    elif act != "remove":
        raise Http404
    return _write(request, {**content, "rules": rules}, revision=revision)


@merchant_view("rules.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def rule_create(request: MerchantRequest) -> HttpResponse:
    """A new rule for the draft, perhaps one that a past refund gave the reason for."""
    content, draft = _written()
    place = len(content["rules"]) + 1
    initial: dict[str, Any] = {"outcome": "one", "place": place}
    refund = None
    named_refund = request.GET.get("refund", "")
    if named_refund.isdecimal() and len(named_refund) < 19:
        refund = get_refund(int(named_refund))
        decision = decision_of(refund.pk) if refund else None
        if decision is None:
            raise Http404
        # Whatever stands before it must not decide first.
        initial = {**initial_of(suggested_rule(facts_of(decision))), "place": 1}
    return _rule(request, content, draft, initial, number=None, refund=refund)


@merchant_view("rules.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def rule_change(request: MerchantRequest, rule_number: int) -> HttpResponse:
    """One rule of the draft."""
    content, draft = _written()
    if not 1 <= rule_number <= len(content["rules"]):
        raise Http404
    initial = {**initial_of(content["rules"][rule_number - 1]), "place": rule_number}
    return _rule(request, content, draft, initial, number=rule_number, refund=None)


def _rule(
    request: MerchantRequest,
    content: dict[str, Any],
    draft: RefundRuleDraft | None,
    initial: dict[str, Any],
    *,
    number: int | None,
    refund: Any,
) -> HttpResponse:
    """The form of one rule, new (``number`` None) or of the draft."""
    stores = store_names()
    rules = list(content["rules"])
    form = RuleForm(
        request.POST if request.method == "POST" else None,
        stores=stores,
        places=len(rules) + (1 if number is None else 0),
        initial={**initial, "revision": draft.revision if draft else 0},
    )
    problems: list[str] = []
    if request.method == "POST" and form.is_valid():
        if number is not None:
            rules.pop(number - 1)
        place = form.cleaned_data["place"]
        rules.insert(place - 1, form.rule())
        changed = {**content, "rules": rules}
        try:
            book = refund_book(changed)
        except BadBook as error:
            # What the form lets through and no book takes: more rules than one can read.
            many = _("There are as many rules as there may be. Remove one first.")
            form.add_error(None, many if error.code == "many" else _("This cannot be kept."))
        else:
            problems = _new_problems(refund_book(content), book, place, stores)
            if not problems or form.cleaned_data["accepted"]:
                said = _("Saved in the draft. Nothing changes until it is published.")
                return _write(request, changed, revision=form.cleaned_data["revision"], said=said)
    context = {
        "form": form,
        "number": number,
        "refund": refund,
        "problems": problems,
        "groups": _groups(form),
    }
    status = 422 if form.errors or problems else 200
    return render(request, "refunds/rule_form.html", context, status=status)


def _groups(form: RuleForm) -> list[dict[str, Any]]:
    """The conditions by what they are about; those that are filled in or wrong stand open."""
    counted = _("This refund is counted in; what was refused, withdrawn or failed is not.")
    groups = [
        (
            _("In all for one payment, earlier refunds of it counted in"),
            ("total_over", "total_up_to"),
            "",
        ),
        (_("This one refund"), ("amount_over", "amount_up_to"), ""),
        (_("Share of the payment in all"), ("share_over", "share_up_to"), ""),
        (_("How long after it was paid"), ("age_over", "age_up_to", "age_unit"), ""),
        (
            _("Time of day in China"),
            ("time_from", "time_until"),
            _("From 22:00 until 06:00 goes past midnight."),
        ),
        (
            _("For the same payer"),
            ("payer_count_over", "payer_sum_over", "payer_days"),
            counted,
        ),
        (
            _("Asked for by the same member"),
            ("asker_count_over", "asker_sum_over", "asker_days"),
            counted,
        ),
        (_("In the same store, within 24 hours"), ("store_count_over", "store_sum_over"), counted),
    ]
    return [
        {
            "label": label,
            "fields": [form[name] for name in names],
            "hint": hint,
            # The total is what most rules go by.
            "open": names[0] == "total_over"
            or any(form[name].errors for name in names)
            or any(form[name].value() for name in names[:2]),
        }
        for label, names, hint in groups
    ]


def _new_problems(before: Book, after: Book, place: int, stores: dict[str, str]) -> list[str]:
    """What is wrong with the rule at ``place``, and with others since it stands there."""
    old = len(problems_of(before, stores))
    found = problems_of(after, stores)
    own = [one for one in found if one.number == place]
    words = [rulewords.problem_words(one) for one in own]
    if len(found) - len(own) > old:
        words += [
            _("Rule %(number)d: %(problem)s")
            % {"number": one.number, "problem": rulewords.problem_words(one)}
            for one in found
            if one.number not in (place, 0)
        ]
    return words


@merchant_view("rules.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def rule_publish(request: MerchantRequest) -> HttpResponse:
    """Let the draft come into force, at once or from a moment on."""
    draft = current_draft()
    if draft is None or draft.state != DraftState.OPEN:
        return redirect("refunds:rule_draft", request.merchant.slug)
    now, stores = clock.now(), store_names()
    form = PublishForm(
        request.POST if request.method == "POST" else None,
        initial={"revision": draft.revision},
        now=now,
    )
    if request.method == "POST" and form.is_valid():
        try:
            done = publish_draft(
                revision=form.cleaned_data["revision"],
                effective_at=form.cleaned_data["effective_at"],
                member=request.member,
                actor=request.actor(),
                now=now,
            )
        except ChangedMeanwhile:
            return _changed(request)
        except NotPublishable:
            messages.error(request, _("Some rules never decide. Mend or remove them first."))
            return redirect("refunds:rule_draft", request.merchant.slug)
        if done.state == DraftState.WAITING:
            messages.success(request, _("Asked for. They hold once they are confirmed."))
        elif done.effective_at is None:
            messages.success(
                request, _("The new rules are in force. Refunds already asked for keep theirs.")
            )
        else:
            messages.success(request, _("Published. The rules come into force by themselves."))
        return redirect("refunds:rule_book", request.merchant.slug)
    book = refund_book(draft.content)
    context = {
        "form": form,
        "lines": rulewords.lines(book, stores),
        "problems": [one for one in problems_of(book, stores) if one.number],
        "others": members_who_may(
            permission=PUBLISH_PERMISSION, store_id=None, besides=request.member.pk
        ),
        "waits": needs_another(
            permission=PUBLISH_PERMISSION, store_id=None, besides=request.member.pk, now=now
        ),
    }
    status = 422 if form.errors else 200
    return render(request, "refunds/rule_publish.html", context, status=status)


__all__ = [
    "rule_book",
    "rule_change",
    "rule_create",
    "rule_draft",
    "rule_edit",
    "rule_publish",
    "rule_version",
]
