"""Opening a code: counted, and answered with all that its page shows, in one statement, since a customer waits for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any, cast

from apps.core import sql
from apps.core.models import Door
from apps.merchants.models import Merchant, Store
from apps.qrcodes.models import CodeVersion, QRCode, Scenario


@dataclass(frozen=True, slots=True)
class Account:
    """An account that serves the store of an opened code."""

    id: int
    platform: str
    takes_h5: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """What the page behind a code needs: whose it is, the version in force with its code and store, and who takes the money, in the
    merchant's order of preference."""

    merchant: Merchant
    version: CodeVersion
    accounts: list[Account]


_PARTS = (
    sql.Columns(CodeVersion, "version"),
    sql.Columns(QRCode, "code"),
    sql.Columns(Scenario, "scenario"),
    sql.Columns(Store, "store"),
    sql.Columns(Merchant, "merchant"),
)
_ENDS = list(accumulate(len(part) for part in _PARTS))
_CUTS = list(zip([0, *_ENDS[:-1]], _ENDS, strict=True))
_FOUND = f"""
SELECT {", ".join(part.text for part in _PARTS)}, ARRAY(
    SELECT json_build_object('id', account.id, 'platform', account.platform, 'takes_h5', account.takes_h5)::text
    FROM platforms_platformaccount AS account
    WHERE account.merchant_id = version.merchant_id AND account.is_active AND (account.all_stores OR EXISTS (
        SELECT FROM platforms_accountstore AS served WHERE served.merchant_id = version.merchant_id
        AND served.account_id = account.id AND served.store_id = version.store_id))
    ORDER BY account.priority, account.id) AS accounts,
    version.merchant_id AS whose, version.code_id AS which, version.store_id AS whereabouts
FROM qrcodes_codeversion AS version
JOIN qrcodes_qrcode AS code ON code.merchant_id = version.merchant_id AND code.id = version.code_id
JOIN qrcodes_scenario AS scenario ON scenario.merchant_id = code.merchant_id AND scenario.id = code.scenario_id
JOIN merchants_store AS store ON store.merchant_id = version.merchant_id AND store.id = version.store_id
JOIN merchants_merchant AS merchant ON merchant.id = version.merchant_id
WHERE version.merchant_id = %(merchant)s AND version.code_id = %(code)s AND version.starts_at <= %(now)s
    AND version.withdrawn_at IS NULL
ORDER BY version.starts_at DESC, version.number DESC LIMIT 1
"""  # noqa: S608 - nothing in it but names of columns
#: Nobody waits for the disk because of a scan: what a crash loses of the last half second are counts, no money. The setting ends with
#: the statement, which is a transaction of its own here.
_COUNTED = f"""
WITH found AS MATERIALIZED ({_FOUND}),
hurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
counted AS (
    INSERT INTO qrcodes_scan (merchant_id, code_id, store_id, at, wallet)
    SELECT whose, which, whereabouts, %(now)s, %(wallet)s FROM found, hurried
)
SELECT * FROM found
"""  # noqa: S608 - as above


def open_code(*, door: Door, now: datetime, wallet: str | None) -> Opened:
    """What the code behind a door says at ``now``; counted as a scan unless ``wallet`` is None.

    ``wallet`` is the platform whose app opened it, "" for another browser. The version is that of ``selectors.version_in_force``, the
    accounts are those of ``platforms.selectors.accounts_serving``. Raises QRCode.DoesNotExist.
    """
    values: dict[str, Any] = {
        "merchant": door.merchant_id,
        "code": door.subject_id,
        "now": now,
        "wallet": wallet,
    }
    row = sql.first(_FOUND if wallet is None else _COUNTED, values)
    if row is None:
        raise QRCode.DoesNotExist(f"code {door.subject_id}")
    version, code, scenario, store, merchant = (
        cast("Any", part).read(row[first:end])
        for part, (first, end) in zip(_PARTS, _CUTS, strict=True)
    )
    version.code, version.store, code.scenario = code, store, scenario
    accounts = [Account(**json.loads(one)) for one in row[_ENDS[-1]]]
    return Opened(merchant=merchant, version=version, accounts=accounts)
