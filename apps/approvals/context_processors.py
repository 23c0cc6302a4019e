"""What the frame says about confirmations and whatever else waits."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from apps.accounts.models import User
from apps.approvals.selectors import waiting_for
from apps.approvals.waiting import Waiting, kinds_for
from apps.core import clock, sql
from apps.core.tenancy import NoScope


def waiting(request: HttpRequest) -> dict[str, Any]:
    """``waiting_count``: what the member may decide; ``waiting_url``: where; ``waiting_title``: in words; ``waiting_others``: what
    of it is no confirmation, as (words, address); ``waiting_menu``: all of it in the same way, where it is of several kinds. Counted, by one statement, only where a page shows it.

    A customer who waits goes before what can wait: the address is that of the first kind that has any, confirmations last.
    """
    user = getattr(request, "user", None)
    permissions = getattr(request, "permissions", None)
    merchant = getattr(request, "merchant", None)
    if not isinstance(user, User) or permissions is None or merchant is None:
        return {}

    @cache
    def found() -> tuple[int, list[tuple[Waiting, int]]]:
        now = clock.now()
        try:
            kinds = kinds_for(permissions)
            *others, confirmations = sql.counts(
                *(kind.rows(now) for kind in kinds),
                waiting_for(member=user, permissions=permissions, now=now),
            )
        except NoScope:
            # An error page is drawn after the merchant's scope has ended.
            return 0, []
        counted = zip(kinds, others, strict=True)
        return confirmations, [(kind, count) for kind, count in counted if count]

    def total() -> int:
        confirmations, others = found()
        return confirmations + sum(count for _kind, count in others)

    def first() -> str:
        _confirmations, others = found()
        page = others[0][0].page if others else "approvals:approval_list"
        return reverse(page, args=[merchant.slug])

    def told() -> list[tuple[str, str]]:
        _confirmations, others = found()
        return [
            (kind.words(count), reverse(kind.page, args=[merchant.slug])) for kind, count in others
        ]

    def menu() -> list[tuple[str, str]]:
        confirmations, _others = found()
        mine = ngettext(
            "%(count)s request waits for your confirmation",
            "%(count)s requests wait for your confirmation",
            confirmations,
        ) % {"count": confirmations}
        listed = told()
        if confirmations:
            listed.append((mine, reverse("approvals:approval_list", args=[merchant.slug])))
        return listed if len(listed) > 1 else []

    def title() -> str:
        count = total()
        everything = ngettext(
            "%(count)d thing waits for you", "%(count)d things wait for you", count
        ) % {"count": count}
        others = ", ".join(words for words, _address in told())
        if not others:
            return everything
        return gettext("%(all)s, among them: %(others)s") % {"all": everything, "others": others}

    return {
        "waiting_count": total,
        "waiting_url": first,
        "waiting_title": title,
        "waiting_others": told,
        "waiting_menu": menu,
    }
