"""The merchant's own codes and names for its accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Account, Purpose
from apps.ledger.selectors.plan import default_words
from apps.ledger.services.booking import account_ids
from apps.merchants.models import Merchant


class CodeTaken(ValueError):
    """Two accounts would have the same code."""


@dataclass(frozen=True, slots=True)
class AccountWords:
    """How one account is called."""

    code: str
    name: str


@transaction.atomic
def name_accounts(
    words: Mapping[tuple[Purpose, int], AccountWords], *, actor: Actor, now: datetime
) -> int:
    """Give accounts (by purpose and subject) their codes and names; one that nothing was posted to yet is made.

    Returns how many changed. Raises CodeTaken and changes nothing then.
    """
    # One writer at a time a merchant, so that what is recorded as "before" is true.
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())
    try:
        with transaction.atomic():
            changes = _rename(words)
    except IntegrityError as error:
        raise CodeTaken(str(error)) from error
    if changes:
        audit.record(
            action="plan.changed",
            subject_kind="merchant",
            subject_id=current_merchant_id(),
            actor=actor,
            at=now,
            data={"accounts": changes},
        )
    return len(changes)


def _rename(words: Mapping[tuple[Purpose, int], AccountWords]) -> list[dict[str, str]]:
    accounts = {
        (Purpose(account.purpose), account.subject_id): account for account in Account.objects.all()
    }
    # What keeps the default plan's words is opened by its first posting.
    missing = {
        key
        for key, wanted in words.items()
        if key not in accounts and (wanted.code, wanted.name) != default_words(*key)
    }
    if missing:
        made = account_ids(missing)
        rows = Account.objects.in_bulk(list(made.values()))
        accounts |= {key: rows[pk] for key, pk in made.items()}
    changed = [
        (accounts[key], wanted)
        for key, wanted in words.items()
        if key in accounts
        and (accounts[key].code, accounts[key].name) != (wanted.code, wanted.name)
    ]
    # Two accounts may exchange their codes, and the key is checked row by row: first all of them leave theirs.
    for account, _wanted in changed:
        Account.objects.filter(pk=account.pk).update(code=f"~{account.pk}")
    for account, wanted in changed:
        Account.objects.filter(pk=account.pk).update(code=wanted.code, name=wanted.name)
    return [
        {
            "account": str(account.pk),
            "before": f"{account.code} {account.name}",
            "after": f"{wanted.code} {wanted.name}",
        }
        for account, wanted in changed
    ]
