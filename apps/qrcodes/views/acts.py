"""One thing done to many codes: choosing, confirming, seeing what came of it, undoing. And folders."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.core.doors import new_token
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.models import Store
from apps.merchants.selectors import list_stores
from apps.qrcodes.actwords import (
    ACTS,
    MOST_LEFT_SHOWN,
    act_state,
    done_sentence,
    is_final,
    left_out,
    to_be_left_out,
)
from apps.qrcodes.batches import MOST_CODES
from apps.qrcodes.bulkwords import refused_sentence
from apps.qrcodes.forms import CodeActForm, FilingForm, FolderForm
from apps.qrcodes.forms.acts import cast_kind
from apps.qrcodes.models import ActKind, CodeAct, CodeFolder
from apps.qrcodes.selectors import (
    chosen_codes,
    count_folders,
    get_act,
    get_folder,
    left_codes,
    list_acts,
    list_folders,
    still_undoable,
    sure_to_stay,
)
from apps.qrcodes.services import (
    CannotUndo,
    CodeRefused,
    FolderShared,
    NameTaken,
    NothingToUndo,
    act_on_codes,
    delete_folder,
    file_code,
    rename_folder,
    undo_act,
)
from apps.qrcodes.views.bulk import choose_copies
from apps.qrcodes.views.frame import code_or_404
from apps.qrcodes.views.lists import chosen_filters, chosen_ids
from apps.qrcodes.views.prints import choose_prints

_SHARED = gettext_lazy(
    "Codes of other stores lie in this folder too. Ask somebody who manages all stores."
)
#: Names of codes that a confirmation shows.
SHOWN = 12


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def act_create(request: MerchantRequest) -> HttpResponse:
    """Confirm what is done to the chosen codes, then do it. ``kind`` names it, ``sure`` does it.

    Asked for without a choice, as after a change of language, it leads back to the list.
    """
    back = reverse("qrcodes:code_list", args=[request.merchant.slug])
    if request.method != "POST":
        return redirect(back)
    data = request.POST
    # Printing and copying have pages of their own: the choice goes on there.
    if data.get("kind") == "print":
        return choose_prints(request)
    if data.get("kind") == "copy":
        return choose_copies(request)
    kind = cast_kind(data.get("kind", ""))
    ids = chosen_ids(request)
    if kind is None or not ids:
        messages.error(request, _("Choose codes and what to do with them first."))
        return redirect(back)
    if len(ids) > MOST_CODES:
        messages.error(request, refused_sentence("codes", "too_many"))
        return redirect(back)
    sure = "sure" in data
    form = CodeActForm(
        data if sure else None,
        kind=kind,
        stores=list(list_stores(only_active=True)),
        folders=list_folders(),
    )
    if sure and form.is_valid():
        done = _do(request, form, ids)
        if done is not None:
            return done
    codes = chosen_codes(ids)
    stay = sure_to_stay(codes, kind, now=clock.now())
    staying = {code.pk for of_reason in stay.values() for code in of_reason}
    going = [code for code in codes if code.pk not in staying]
    context: dict[str, Any] = {
        "left_out": to_be_left_out(stay),
        "going": len(going),
        "filters": chosen_filters(request),
        "kind": kind,
        "words": ACTS[kind],
        "final": kind == ActKind.RETIRE,
        "form": form,
        "count": len(codes),
        "first": going[:SHOWN],
        "more": max(0, len(going) - SHOWN),
        "ids": ",".join(str(code.pk) for code in codes),
        "nonce": data.get("nonce") or new_token(20),
        "back": back,
    }
    return render(request, "qrcodes/act_create.html", context, status=422 if sure else 200)


def _do(request: MerchantRequest, form: CodeActForm, ids: list[int]) -> HttpResponse | None:
    """Do it; None where the form must be shown again."""
    try:
        act = act_on_codes(
            ids,
            form.wish(),
            nonce=request.POST.get("nonce", "")[:40] or new_token(20),
            actor=request.actor(),
            now=clock.now(),
        )
    except CodeRefused as refused:
        field = refused.field if refused.field in form.fields else None
        form.add_error(field, refused_sentence(refused.field, refused.reason))
        return None
    except (CodeFolder.DoesNotExist, Store.DoesNotExist):
        form.add_error(None, _("This is not there any more. Choose again."))
        return None
    return redirect("qrcodes:act_detail", request.merchant.slug, act.pk)


def _act_or_404(request: MerchantRequest, act_id: int) -> CodeAct:
    try:
        return get_act(act_id, member_id=request.member.pk)
    except CodeAct.DoesNotExist as error:
        raise Http404 from error


@merchant_view("codes.manage")
@require_safe
def act_list(request: MerchantRequest) -> HttpResponse:
    """What was done to many codes at once, the last first."""
    acts = list_acts(member_id=request.member.pk)
    still = still_undoable(acts)
    rows = [
        {
            "act": act,
            "done": done_sentence(act),
            "words": ACTS[act.kind],
            "state": act_state(act, still.get(act.pk, 0)),
        }
        for act in acts
    ]
    return render(request, "qrcodes/act_list.html", {"rows": rows})


@merchant_view("codes.manage")
@require_safe
def act_detail(request: MerchantRequest, act_id: int) -> HttpResponse:
    """What came of it, and the way back."""
    act = _act_or_404(request, act_id)
    codes = chosen_codes([int(code_id) for code_id in act.before])
    context = {
        "act": act,
        "words": ACTS[act.kind],
        "done": done_sentence(act),
        "left_out": left_out(act, left_codes(act, most=MOST_LEFT_SHOWN)),
        "still": still_undoable([act]).get(act.pk, 0),
        "final": is_final(act),
        "codes": codes[:SHOWN],
        "more": max(0, len(codes) - SHOWN),
    }
    return render(request, "qrcodes/act_detail.html", context)


@merchant_view("codes.manage")
@require_POST
def act_undo(request: MerchantRequest, act_id: int) -> HttpResponse:
    """Let the codes be again what they were, but for those that were changed since."""
    act = _act_or_404(request, act_id)
    try:
        act = undo_act(act_id=act.pk, actor=request.actor(), now=clock.now())
    except CannotUndo:
        messages.info(request, _("This is undone already, or cannot be undone."))
    except NothingToUndo:
        messages.warning(
            request,
            _(
                "Nothing was undone: all of these codes were changed since. Undo the later act first."
            ),
        )
    else:
        if act.kept:
            words = _("Undone. %(count)d were changed since and stay as they are.")
            messages.success(request, words % {"count": act.kept})
        else:
            messages.success(request, _("Undone."))
    return redirect("qrcodes:act_detail", request.merchant.slug, act.pk)


@merchant_view("codes.view")
@require_safe
def folder_list(request: MerchantRequest) -> HttpResponse:
    """The folders with their codes."""
    return render(request, "qrcodes/folder_list.html", {"rows": count_folders()})


def _folder_or_404(folder_id: int) -> CodeFolder:
    try:
        return get_folder(folder_id)
    except CodeFolder.DoesNotExist as error:
        raise Http404 from error


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def folder_change(request: MerchantRequest, folder_id: int) -> HttpResponse:
    """Call a folder otherwise."""
    folder = _folder_or_404(folder_id)
    form = FolderForm(request.POST or None, initial={"name": folder.name})
    if form.is_valid():
        try:
            rename_folder(
                folder_id=folder.pk,
                name=form.cleaned_data["name"],
                actor=request.actor(),
                now=clock.now(),
            )
        except NameTaken:
            form.add_error("name", _("Another folder has this name."))
        except FolderShared:
            form.add_error(None, _SHARED)
        else:
            messages.success(request, _("The folder is renamed."))
            return redirect("qrcodes:folder_list", request.merchant.slug)
    context = {"form": form, "folder": folder}
    status = 422 if form.errors else 200
    return render(request, "qrcodes/folder_change.html", context, status=status)


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def folder_delete(request: MerchantRequest, folder_id: int) -> HttpResponse:
    """Take a folder away, after asking; its codes stay."""
    folder = _folder_or_404(folder_id)
    if request.method != "POST":
        return render(request, "qrcodes/folder_delete.html", {"folder": folder})
    try:
        delete_folder(folder_id=folder.pk, actor=request.actor(), now=clock.now())
    except FolderShared:
        messages.error(request, str(_SHARED))
    else:
        messages.success(request, _("The folder is deleted. Its codes stay."))
    return redirect("qrcodes:folder_list", request.merchant.slug)


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def code_file(request: MerchantRequest, code_id: int) -> HttpResponse:
    """One code's folder and labels."""
    code = code_or_404(code_id)
    initial = {"folder": code.folder_id, "labels": ", ".join(code.labels)}
    # Not "POST or None": with neither folder nor label the form is sent all but empty.
    given = request.POST if request.method == "POST" else None
    form = FilingForm(given, folders=list_folders(), initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            file_code(
                code_id=code.pk,
                folder_id=form.cleaned_data["folder"],
                labels=form.cleaned_data["labels"],
                actor=request.actor(),
                now=clock.now(),
            )
        except CodeFolder.DoesNotExist:
            form.add_error("folder", _("This folder is not there any more."))
        else:
            messages.success(request, _("Folder and labels are saved."))
            return redirect("qrcodes:code_detail", request.merchant.slug, code.pk)
    context = {"form": form, "code": code}
    return render(request, "qrcodes/code_file.html", context, status=422 if form.errors else 200)
