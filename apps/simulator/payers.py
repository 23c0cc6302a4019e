"""The people who own the simulated wallets."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

#: Cookie that names the wallet's user; the wallet page sets it.
USER_COOKIE = "sim_wallet_user"
#: Cookie that gives the origin of the wallet's browser (a proxy), so that redirects stay inside it.
BROWSER_COOKIE = "sim_wallet_browser"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """One wallet user. ``alipay_id`` is the buyer's 2088… number, ``login`` the masked account."""

    key: str
    name: str
    login: str
    alipay_id: str

    def openid(self, app_id: str) -> str:
        """WeChat's id of this user for one app (28 characters): another app sees another id."""
        digest = hashlib.sha256(f"{app_id}:{self.key}".encode()).digest()
        return "o" + base64.urlsafe_b64encode(digest).decode("ascii")[:27]


PAYERS: dict[str, Payer] = {
    payer.key: payer
    for payer in (
        Payer(key="demo", name="小明", login="**明(138******01)", alipay_id="2088101117955611"),
        Payer(key="hua", name="小华", login="**华(159******22)", alipay_id="2088101117952222"),
        Payer(key="mei", name="小美", login="**美(186******33)", alipay_id="2088101117953333"),
        Payer(key="poor", name="没钱", login="**钱(137******44)", alipay_id="2088101117954444"),
    )
}
DEFAULT_PAYER = PAYERS["demo"]


def payer_for(key: str | None) -> Payer:
    """The wallet user of a cookie or form value; the demo user when unknown or absent."""
    return PAYERS.get(key or "", DEFAULT_PAYER)
