"""Platform accounts as the owners of the ledger's receivables."""

from __future__ import annotations

from apps.platforms.models import PlatformAccount, PlatformChoice


def account_names() -> dict[int, str]:
    """What each platform account is called, by id: its platform and its label."""
    words = {value: str(label) for value, label in PlatformChoice.choices}
    rows = PlatformAccount.objects.values_list("pk", "platform", "label")
    return {
        pk: " · ".join(part for part in (words.get(platform, platform), label) if part)
        for pk, platform, label in rows
    }
