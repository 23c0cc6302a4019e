"""``python -m apps.simulator``: migrate the simulator's own database and serve until stopped."""

from __future__ import annotations

import argparse
import os
import sys

import django
from django.core.management import call_command


def main() -> int:
    """Parse the command line and run; 1 if a port is taken."""
    parser = argparse.ArgumentParser(
        prog="python -m apps.simulator",
        description="SIMULATOR 模拟器: payment platforms on loopback, with wallets to pay with.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100, help="platforms, wallet, control desk")
    parser.add_argument(
        "--wechat-port", type=int, default=9101, help="WeChat's in-app browser; 0 for none"
    )
    parser.add_argument(
        "--alipay-port", type=int, default=9102, help="Alipay's in-app browser; 0 for none"
    )
    parser.add_argument(
        "--unionpay-port", type=int, default=9103, help="云闪付's in-app browser; 0 for none"
    )
    parser.add_argument(
        "--portal-url",
        default=os.environ.get("PORTAL_URL", "http://localhost:8000"),
        help="the portal whose pages the wallets' browsers open",
    )
    parser.add_argument("--quiet", action="store_true", help="warnings only")
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "merchant_portal.settings.simulator"
    os.environ["SIMULATOR_ORIGIN"] = f"http://localhost:{options.port}"
    os.environ["SIMULATOR_WECHAT_ORIGIN"] = f"http://localhost:{options.wechat_port}"
    os.environ["SIMULATOR_ALIPAY_ORIGIN"] = f"http://localhost:{options.alipay_port}"
    os.environ["SIMULATOR_UNIONPAY_ORIGIN"] = f"http://localhost:{options.unionpay_port}"
    os.environ["PORTAL_URL"] = options.portal_url
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    # Only now: these load models.
    from apps.simulator.server import Ports, PortTaken, run

    try:
        run(
            host=options.host,
            ports=Ports(
                main=options.port,
                wechat=options.wechat_port,
                alipay=options.alipay_port,
                unionpay=options.unionpay_port,
            ),
            portal_url=options.portal_url,
            quiet=options.quiet,
        )
    except PortTaken as error:
        print(f"SIMULATOR 模拟器: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
