"""New keys of a platform account under four eyes."""

from __future__ import annotations

from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from typing_extensions import override

from apps.approvals.models import Approval
from apps.approvals.subjects import ApprovalSubject, Description
from apps.core.audit import Actor
from apps.platforms import registry
from apps.platforms.models import CredentialChange
from apps.platforms.services.changing import (
    change_digest,
    change_lapsed,
    hold_account,
    release_change,
    void_change,
)
from apps.platforms.wording import untried_words

#: Characters of a fingerprint that are shown, as on the account's page.
_SHOWN = 8


class CredentialsSubject(ApprovalSubject):
    """Keys or certificates that replace those of an account. The keys themselves are never shown."""

    label = gettext_lazy("New keys of a platform account")

    @override
    def describe(self, approval: Approval, *, slug: str) -> Description:
        change = CredentialChange.objects.select_related("account").get(pk=approval.subject_id)
        account = change.account
        facts = [
            (_("Account"), account.label),
            (_("Platform"), account.get_platform_display()),
            (_("Merchant number"), account.merchant_no),
        ]
        if account.app_id:
            facts.append((_("App ID"), account.app_id))
        for field in registry.credential_fields(account.platform):
            words = _words(change.before.get(field.name, ""), change.after.get(field.name, ""))
            if words:
                facts.append((str(field.label), words))
        facts.append(
            (
                _("Checked"),
                _("The platform accepted the new keys when they were entered.")
                if change.check_state == "good"
                else _("The platform could not be asked about the new keys."),
            )
        )
        untried = {field.name for field in registry.untried_fields(account.platform)}
        changed = {name for name, seal in change.after.items() if seal != change.before.get(name)}
        if untried & changed and (words := untried_words(account.platform)):
            facts.append((_("Not checked"), words))
        return Description(
            title=_("New keys of a platform account"),
            amount_minor=None,
            facts=facts,
            url=reverse("platforms:account_detail", args=[slug, account.pk]),
        )

    @override
    def digest(self, subject_id: int) -> bytes:
        return change_digest(CredentialChange.objects.get(pk=subject_id))

    @override
    def hold(self, subject_id: int) -> None:
        hold_account(subject_id)

    @override
    def lapsed(self, subject_id: int) -> str:
        return change_lapsed(subject_id)

    @override
    def execute(self, approval: Approval, *, actor: Actor, now: datetime) -> None:
        release_change(approval=approval, actor=actor, now=now)

    @override
    def void(self, approval: Approval, *, reason: str, actor: Actor, now: datetime) -> None:
        void_change(approval=approval, reason=reason, actor=actor, now=now)


def _words(before: str, after: str) -> str:
    """What happens to one key, by fingerprints that reveal nothing of it."""
    prints = {"before": before[:_SHOWN], "after": after[:_SHOWN]}
    if before and after:
        return _("%(before)s is replaced by %(after)s") % prints
    if after:
        return _("%(after)s is new") % prints
    return _("%(before)s goes") % prints if before else ""
