"""All addresses of the simulator: one prefix a platform, the wallet, and the control desk."""

from importlib.util import find_spec

from django.contrib.staticfiles.views import serve
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    # A loopback program that nobody collects static files for.
    path("static/<path:path>", serve, {"insecure": True}),
]

for _prefix, _module in (
    ("wechatpay/", "apps.simulator.wechatpay"),
    ("alipay/", "apps.simulator.alipay"),
    ("unionpay/", "apps.simulator.unionpay"),
    ("shouqianba/", "apps.simulator.shouqianba"),
    ("wallet/", "apps.simulator.wallet"),
    ("", "apps.simulator.control"),
):
    if find_spec(_module) is not None and find_spec(f"{_module}.urls") is not None:
        urlpatterns.append(path(_prefix, include(f"{_module}.urls")))

# The templates folder also holds the portal's error pages, which the simulator cannot render.
handler400 = "apps.simulator.wallet.errors.bad_request"
handler403 = "apps.simulator.wallet.errors.forbidden"
handler404 = "apps.simulator.wallet.errors.not_found"
handler500 = "apps.simulator.wallet.errors.server_error"
