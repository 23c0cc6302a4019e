"""wechatpayv3 as another program: one JSON call a line in, one JSON answer a line out.

Runs with the interpreter of ``.venv-foreign``, which has that client and nothing of ours.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any

from wechatpayv3 import WeChatPay, WeChatPayType  # type: ignore[import-not-found]
from wechatpayv3.utils import rsa_sign, rsa_verify  # type: ignore[import-not-found]

TYPES = {"native": WeChatPayType.NATIVE, "h5": WeChatPayType.H5, "codepay": WeChatPayType.CODEPAY}


def opened(job: dict[str, Any], kind: str) -> Any:
    """A client at the simulator: the address is the one thing that the client has no parameter for."""
    shown = job["credentials"]
    options = {"public_key": shown["public_key"], "public_key_id": shown["public_key_id"]}
    if job.get("by_certificate"):
        options = {"cert_dir": job["folder"]}
        # In this mode the constructor itself fetches the certificates, from an address that cannot be given to it.
        with open(os.path.join(job["folder"], f"{shown['platform_serial_no']}.pem"), "w") as file:  # noqa: PTH118, PTH123
            file.write(shown["platform_certificate"])
    client = WeChatPay(
        wechatpay_type=TYPES[kind],
        mchid=shown["merchant_no"],
        private_key=shown["private_key"],
        cert_serial_no=shown["serial_no"],
        appid=shown["app_id"],
        apiv3_key=shown["api_v3_key"],
        notify_url=job["notify_url"],
        timeout=20,
        **options,
    )
    client._core._gate_way = job["base"]
    return client


def answer_to(clients: dict[str, Any], call: str, arguments: dict[str, Any]) -> Any:
    """Do one call; (status, text) of a platform call becomes a list."""
    kind = arguments.pop("kind", "native")
    client = clients[kind]
    if call == "pay":
        # Without it here the client adds a notify_url even for a payer's code: it looks at the argument, not at its own
        # type. That interface has no notify_url and sends no notice (dossier A1.4).
        arguments["pay_type"] = TYPES[kind]
    if call == "certificates":
        client._core._update_certificates()
        return [f"{one.serial_number:040X}" for one in client._core._certificates]
    if call == "callback":
        return client.callback(arguments["headers"], base64.b64decode(arguments["body"]))
    if call == "sign":
        key = client._core._private_key
        return rsa_sign(private_key=key, sign_str=arguments["text"])
    if call == "verify":
        key = client._core._private_key.public_key()
        parts = [arguments[name] for name in ("timestamp", "nonce", "body", "signature")]
        return bool(rsa_verify(*parts, key))
    if call == "encrypt":
        return client._core.encrypt(arguments["text"])
    status, text = getattr(client, call)(**arguments)
    packed = isinstance(text, bytes)
    return [status, base64.b64encode(text).decode() if packed else text]


def main() -> None:
    """Serve until the input ends."""
    job = json.loads(sys.stdin.readline())
    clients = {kind: opened(job, kind) for kind in TYPES}
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            said = {"answer": answer_to(clients, asked["call"], asked["arguments"])}
        except Exception as error:  # noqa: BLE001 - whatever the client raises is what the test wants to see
            said = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
