"""The simulator's control API, as far as the demo needs it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from apps.platforms.http import PlatformHttp


class SimulatorRefused(Exception):
    """The simulator answered a control call with an error."""


class SimulatorControl:
    """Calls ``<base>/control/api/…`` of a running simulator."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/")
        self._http = PlatformHttp(timeout=60)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def call(self, path: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """GET without a payload, POST with one. Raises SimulatorRefused, PlatformUnavailable."""
        answer = self._http.send(
            "GET" if payload is None else "POST",
            f"{self._base}/control/api/{path}",
            headers={"Content-Type": "application/json"},
            body=b"" if payload is None else json.dumps(payload).encode(),
        )
        if answer.status >= 300:
            raise SimulatorRefused(
                f"{path}: {answer.status} {answer.body[:200].decode(errors='replace')}"
            )
        return dict(json.loads(answer.body))

    def create_merchant(self, *, platform: str, name: str) -> dict[str, Any]:
        """A simulated merchant and the credentials its console would hand out."""
        return self.call("merchants", {"platform": platform, "name": name, "rate_ppm": 6000})

    def tell_past(
        self,
        *,
        platform: str,
        merchant_no: str,
        payments: Sequence[dict[str, Any]],
        refunds: Sequence[dict[str, Any]],
    ) -> None:
        """Write finished payments and refunds into the simulator's books, without notifications."""
        self.call(
            "books/bulk",
            {
                "platform": platform,
                "merchant_no": merchant_no,
                "payments": list(payments),
                "refunds": list(refunds),
            },
        )

    def pay(self, *, platform: str, merchant_no: str, order_no: str, code: str = "") -> None:
        """Pay an open order as a wallet would."""
        payload = {"platform": platform, "merchant_no": merchant_no, "out_trade_no": order_no}
        if code:
            payload["code"] = code
        self.call("pay", payload)
