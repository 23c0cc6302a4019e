"""The one table that says which role may do what."""

from __future__ import annotations

from typing import Final

from apps.merchants.models import Role

#: Reading. Auditors hold exactly these and the right to export.
VIEW: Final = frozenset(
    {
        "dashboard.view",
        "transactions.view",
        "takings.view",
        "codes.view",
        "refunds.view",
        "reconciliation.view",
        "ledger.view",
        "platforms.view",
        "stores.view",
        "team.view",
        "rules.view",
        "risk.view",
        "audit.view",
    }
)

PERMISSIONS: Final[dict[str, frozenset[str]]] = {
    Role.OWNER: VIEW
    | {
        "payments.take",
        "codes.manage",
        "refunds.request",
        "refunds.batch",
        "refunds.approve",
        "refunds.approve_finance",
        "rules.manage",
        "risk.manage",
        "reconciliation.manage",
        "days.close",
        "days.reopen",
        "ledger.adjust",
        "platforms.manage",
        "platforms.approve",
        "stores.manage",
        "team.manage",
        "merchant.manage",
        "exports.create",
    },
    Role.MANAGER: (VIEW - {"audit.view", "ledger.view"})
    | {
        "payments.take",
        "codes.manage",
        "refunds.request",
        "refunds.batch",
        "refunds.approve",
        "risk.manage",
        "platforms.approve",
        "stores.manage",
        "exports.create",
    },
    Role.FINANCE: VIEW
    | {
        "refunds.request",
        "refunds.batch",
        "refunds.approve",
        "risk.manage",
        "refunds.approve_finance",
        "reconciliation.manage",
        "days.close",
        "days.reopen",
        "ledger.adjust",
        "exports.create",
    },
    Role.CASHIER: frozenset(
        {
            "dashboard.view",
            "transactions.view",
            "payments.take",
            "codes.view",
            "refunds.view",
            "refunds.request",
        }
    ),
    Role.AUDITOR: VIEW | {"exports.create"},
}

#: What has no store is closed to members limited to some stores.
WHOLE_MERCHANT: Final = frozenset(
    {
        "reconciliation.view",
        "reconciliation.manage",
        "days.close",
        "days.reopen",
        "ledger.view",
        "ledger.adjust",
        "platforms.view",
        "platforms.manage",
        "platforms.approve",
        "stores.manage",
        "rules.view",
        "rules.manage",
        "team.view",
        "team.manage",
        "merchant.manage",
        "audit.view",
    }
)

ALL_PERMISSIONS: Final = frozenset().union(*PERMISSIONS.values())


def permissions_of(role: str, *, all_stores: bool) -> frozenset[str]:
    """What a member with this role may do, given whether the member sees all stores."""
    granted = PERMISSIONS[Role(role)]
    return granted if all_stores else granted - WHOLE_MERCHANT
