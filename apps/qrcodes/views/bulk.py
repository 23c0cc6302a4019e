"""Making many codes at once: by numbers or from a table, looked at before they are made."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from apps.core import clock
from apps.core.doors import new_token
from apps.core.fields import is_too_long
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.models import Store
from apps.merchants.selectors import list_stores
from apps.qrcodes.batches import MOST_BYTES, MOST_CODES, MOST_FLAWS, FileRefused
from apps.qrcodes.bulkwords import field_name, file_sentence, flaw_sentence, refused_sentence
from apps.qrcodes.forms import BatchForm, CopyForm
from apps.qrcodes.forms.batches import example_rows, heading_of, initial_patterns
from apps.qrcodes.models import CodeBatch, CodeFolder, CodeVersion, ScenarioTemplate
from apps.qrcodes.scenarios import HOUSE, own
from apps.qrcodes.selectors import (
    batch_of,
    chosen_codes,
    list_folders,
    list_templates,
    version_in_force,
)
from apps.qrcodes.services import BatchRefused, CodeRefused, copy_codes, make_batch
from apps.qrcodes.terms import CodeTerms, columns, terms_from, terms_of
from apps.qrcodes.views.lists import chosen_ids
from apps.qrcodes.views.making import chosen_template
from apps.qrcodes.wording import facts_of

#: Rows that the preview shows.
PREVIEWED = 200
#: Names of codes that a confirmation shows.
SHOWN = 12
#: Facts that each row has of its own.
_OWN = 3


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def code_bulk(request: MerchantRequest) -> HttpResponse:
    """Many codes: what they are for, which ones, a preview, then all of them or none. ``sure`` makes them.

    ``copy`` names a code whose terms all begin with.
    """
    if is_too_long(request, limit=2 * MOST_BYTES):
        messages.error(request, file_sentence(FileRefused("too_large")))
        return redirect("qrcodes:code_bulk", request.merchant.slug)
    stores = list(list_stores(only_active=True))
    chosen = chosen_template(request)
    if chosen is None or not stores:
        context = {
            "has_stores": bool(stores),
            "house": list(HOUSE.values()),
            "own": [own(row) for row in list_templates(only_active=True)],
            "many": True,
        }
        return render(request, "qrcodes/code_choose.html", context)
    template, copied = chosen
    now = clock.now()
    if copied is None:
        base = terms_from(template.defaults, store_id=stores[0].pk)
    else:
        base = terms_of(version_in_force(code_id=copied.pk, now=now))
    pattern, pattern_en = initial_patterns(template)
    form = BatchForm(
        request.POST if request.method == "POST" else None,
        request.FILES if request.method == "POST" else None,
        stores=stores,
        folders=list_folders(),
        template=template,
        base=base,
        merchant=request.merchant,
        now=now,
        initial={
            "nonce": new_token(20),
            "pattern": pattern,
            "pattern_en": pattern_en,
            "store": base.store_id if copied else None,
        },
    )
    made_before = batch_of(request.POST.get("nonce", "")) if "sure" in request.POST else None
    if made_before is not None:
        # The same form again: they are there.
        return _to_batch(request, made_before)
    settled = form.is_bound and form.settled
    if settled and "sure" in request.POST:
        made = _make(request, form)
        if made is not None:
            return made
        settled = False
    context = {
        "form": form,
        "template": template,
        "copied": copied,
        "flaws": [
            {"line": flaw.line, "field": field_name(flaw.field), "words": flaw_sentence(flaw)}
            for flaw in form.flaws[:MOST_FLAWS]
        ],
        "flaw_count": len(form.flaws),
    }
    if settled and "again" not in request.POST:
        return render(request, "qrcodes/bulk_preview.html", context | _preview(form, stores))
    status = 422 if form.is_bound and not settled else 200
    # The table stays with the form while names and folder are changed.
    context["table"] = form.cleaned_data.get("table", "") if form.is_bound else ""
    return render(request, "qrcodes/bulk_create.html", context, status=status)


def _preview(form: BatchForm, stores: Any) -> dict[str, Any]:
    """What will be made, and the values that the second sending carries on."""
    given = form.cleaned_data
    store = next(store for store in stores if store.pk == given["store"])
    first: CodeTerms = form.rows[0].terms
    sample = CodeVersion(**columns(replace(first, details={})))
    sample.store = store
    carried = {
        name: form[name].value()
        for name in form.fields
        if name not in {"file", "table", "without_four", "skip_existing"}
    }
    carried |= {name: "on" for name in ("without_four", "skip_existing") if given.get(name)}
    folder = given["new_folder"] or next(
        (one.name for one in form.folders if one.pk == given["folder"]), ""
    )
    return {
        "rows": form.rows[:PREVIEWED],
        "count": len(form.rows),
        "more": max(0, len(form.rows) - PREVIEWED),
        "skipped": form.skipped,
        "store": store,
        "folder": folder,
        "has_amount": any(row.terms.amount_minor is not None for row in form.rows),
        "has_labels": any(row.labels for row in form.rows),
        "has_answers": any(row.terms.details for row in form.rows),
        # What a row brings itself is no common beginning.
        "terms": [
            fact
            for fact in facts_of(sample, ())[_OWN:]
            if not (form.has_own_amounts and fact.label == _("Amount"))
        ],
        "carried": {name: value for name, value in carried.items() if value},
        "table": given.get("table", ""),
    }


def _make(request: MerchantRequest, form: BatchForm) -> HttpResponse | None:
    """Make them; None where the form must be shown again."""
    given = form.cleaned_data
    try:
        batch = make_batch(
            form.rows,
            nonce=given["nonce"],
            folder_id=given["folder"],
            new_folder=given["new_folder"],
            actor=request.actor(),
            now=clock.now(),
        )
    except BatchRefused as refused:
        form.flaws += refused.flaws
        return None
    except CodeRefused as refused:
        form.add_error(None, refused_sentence(refused.field, refused.reason))
        return None
    except (Store.DoesNotExist, CodeFolder.DoesNotExist, ScenarioTemplate.DoesNotExist):
        form.add_error(None, _("This is not there any more. Choose again."))
        return None
    return _to_batch(request, batch)


def _to_batch(request: MerchantRequest, batch: CodeBatch) -> HttpResponse:
    """Lead to the codes of a batch in the list."""
    words = ngettext(
        "%(count)d code is ready to be printed.",
        "%(count)d codes are ready to be printed.",
        batch.count,
    )
    messages.success(request, words % {"count": batch.count})
    list_url = reverse("qrcodes:code_list", args=[request.merchant.slug])
    return redirect(f"{list_url}?batch={batch.pk}")


@merchant_view("codes.manage")
@require_safe
def bulk_table(request: MerchantRequest) -> HttpResponse:
    """An empty table to be filled in, with two rows as an example: ``?kind=`` or ``?template=``."""
    chosen = chosen_template(request)
    if chosen is None:
        raise Http404(_("Choose what the codes are for."))
    template, _copied = chosen
    pattern, pattern_en = initial_patterns(template)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(heading_of(template))
    writer.writerows(example_rows(template, pattern=pattern, pattern_en=pattern_en))
    # With a mark, so that Excel reads the Chinese.
    response = HttpResponse(
        out.getvalue().encode("utf-8-sig"), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="codes-{template.kind}.csv"'
    return response


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def codes_copy(request: MerchantRequest) -> HttpResponse:
    """Copies of the chosen codes in a store; ``sure`` makes them."""
    return choose_copies(request)


def choose_copies(request: MerchantRequest) -> HttpResponse:
    """The page of ``codes_copy``, also where the list's choice arrives."""
    back = reverse("qrcodes:code_list", args=[request.merchant.slug])
    ids = chosen_ids(request) if request.method == "POST" else []
    if not ids or len(ids) > MOST_CODES:
        messages.error(request, refused_sentence("codes", "too_many" if ids else "missing"))
        return redirect(back)
    sure = "sure" in request.POST
    form = CopyForm(
        request.POST if sure else None,
        stores=list(list_stores(only_active=True)),
        folders=list_folders(),
    )
    flaws: list[str] = []
    if sure and form.is_valid():
        made = _copy(request, form, ids, flaws)
        if made is not None:
            return made
    codes = chosen_codes(ids)
    context = {
        "form": form,
        "flaws": flaws,
        "count": len(codes),
        "first": codes[:SHOWN],
        "more": max(0, len(codes) - SHOWN),
        "ids": ",".join(str(code.pk) for code in codes),
        "nonce": request.POST.get("nonce") or new_token(20),
        "back": back,
    }
    return render(request, "qrcodes/codes_copy.html", context, status=422 if sure else 200)


def _copy(
    request: MerchantRequest, form: CopyForm, ids: list[int], flaws: list[str]
) -> HttpResponse | None:
    """Make the copies; None where the form must be shown again, with what is wrong in ``flaws``."""
    given = form.cleaned_data
    try:
        batch, left_out = copy_codes(
            ids,
            store_id=given["store"],
            folder_id=given["folder"],
            new_folder=given["new_folder"],
            nonce=request.POST.get("nonce", "")[:40] or new_token(20),
            actor=request.actor(),
            now=clock.now(),
        )
    except BatchRefused as refused:
        codes = chosen_codes(ids)
        flaws += [
            f"{codes[flaw.line - 1].scenario.name}: {flaw_sentence(flaw)}"
            for flaw in refused.flaws[:MOST_FLAWS]
        ]
        return None
    except CodeRefused as refused:
        if refused.field == "rows" and refused.reason == "missing":
            form.add_error("store", _("This store has codes of all these names already."))
        else:
            form.add_error(None, refused_sentence(refused.field, refused.reason))
        return None
    except (Store.DoesNotExist, CodeFolder.DoesNotExist):
        form.add_error(None, _("This is not there any more. Choose again."))
        return None
    words = ngettext("%(count)d copy is made.", "%(count)d copies are made.", batch.count)
    messages.success(request, words % {"count": batch.count})
    if left_out:
        words = ngettext(
            "%(count)d was left out: the store has a code of its name.",
            "%(count)d were left out: the store has codes of their names.",
            len(left_out),
        )
        messages.info(request, words % {"count": len(left_out)})
    list_url = reverse("qrcodes:code_list", args=[request.merchant.slug])
    return redirect(f"{list_url}?batch={batch.pk}")
