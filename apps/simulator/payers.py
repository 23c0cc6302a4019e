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
    """One wallet user. ``alipay_id`` is the buyer's 2088… number, ``login`` the masked account, ``card`` the bank
    card behind 云闪付 (UnionPay shows it masked, or sealed for the merchant).
    """

    key: str
    name: str
    login: str
    alipay_id: str
    card: str

    def openid(self, app_id: str) -> str:
        """WeChat's id of this user for one app (28 characters): another app sees another id."""
        digest = hashlib.sha256(f"{app_id}:{self.key}".encode()).digest()
        return "o" + base64.urlsafe_b64encode(digest).decode("ascii")[:27]

    @property
    def masked_card(self) -> str:
        """``621626*********0018``: the first six and the last four digits."""
        return f"{self.card[:6]}{'*' * (len(self.card) - 10)}{self.card[-4:]}"

    def id_in(self, wallet: str, app_id: str) -> str:
        """What a wallet's platform calls this user."""
        if wallet == "wechatpay":
            return self.openid(app_id)
        return self.masked_card if wallet == "unionpay" else self.alipay_id


PAYERS: dict[str, Payer] = {
    payer.key: payer
    for payer in (
        Payer(
            key="demo",
            name="小明",
            login="**明(138******01)",
            alipay_id="2088101117955611",
            card="6216261000000000018",
        ),
        Payer(
            key="hua",
            name="小华",
            login="**华(159******22)",
            alipay_id="2088101117952222",
            card="6216261000000002222",
        ),
        Payer(
            key="mei",
            name="小美",
            login="**美(186******33)",
            alipay_id="2088101117953333",
            card="6216261000000003333",
        ),
        Payer(
            key="poor",
            name="没钱",
            login="**钱(137******44)",
            alipay_id="2088101117954444",
            card="6216261000000004444",
        ),
    )
}
DEFAULT_PAYER = PAYERS["demo"]


def payer_for(key: str | None) -> Payer:
    """The wallet user of a cookie or form value; the demo user when unknown or absent."""
    return PAYERS.get(key or "", DEFAULT_PAYER)
