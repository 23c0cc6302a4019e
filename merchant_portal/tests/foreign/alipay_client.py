"""python-alipay-sdk as another program: one JSON call a line in, one JSON answer a line out.

Runs with the interpreter of ``.venv-foreign``, which has that client and nothing of ours.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from alipay import AliPay, DCAliPay  # type: ignore[import-not-found]


def opened(job: dict[str, Any]) -> Any:
    """A client at the simulator: the address is the one thing that the client has no parameter for."""
    shown = job["credentials"]
    common = {
        "appid": shown["app_id"],
        "app_notify_url": job["notify_url"],
        "app_private_key_string": shown["private_key"],
    }
    if job.get("by_certificate"):
        client = DCAliPay(
            **common,
            app_public_key_cert_string=shown["app_certificate"],
            alipay_public_key_cert_string=shown["alipay_certificate"],
            alipay_root_cert_string=shown["alipay_root_certificate"],
        )
    else:
        client = AliPay(**common, alipay_public_key_string=shown["alipay_public_key"])
    client._gateway = job["base"]
    return client


def answer_to(client: Any, call: str, arguments: dict[str, Any]) -> Any:
    """Do one call."""
    if call == "verify":
        return bool(client.verify(arguments["fields"], arguments["signature"]))
    if call == "sign":
        return client._sign(arguments["text"])
    if call == "server_api":
        return client.server_api(arguments["method"], arguments["biz"])
    return getattr(client, f"api_alipay_{call}")(**arguments)


def main() -> None:
    """Serve until the input ends."""
    job = json.loads(sys.stdin.readline())
    client = opened(job)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            said = {"answer": answer_to(client, asked["call"], asked["arguments"])}
        except Exception as error:  # noqa: BLE001 - whatever the client raises is what the test wants to see
            said = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
