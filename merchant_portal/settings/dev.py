"""A development machine: its own secrets, mail into a folder, the simulator in place of the platforms."""

from __future__ import annotations

from merchant_portal.settings import env, running
from merchant_portal.settings.base import *
from merchant_portal.settings.secrets import load_or_create

# Off by default: pages then behave, and fail, as customers see them.
DEBUG = env.flag("PORTAL_DEBUG")
TEMPLATES = templates(cached=not DEBUG)
# A changed script or style sheet is served at once, instead of being cut off at its old length.
WHITENOISE_AUTOREFRESH = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", ".localhost", *env.listing("ALLOWED_HOSTS")]

_secrets = load_or_create(DATA_DIR / "secrets.json")
SECRET_KEY = env.text("SECRET_KEY") or _secrets["secret_key"]
ENCRYPTION_KEYS = env.listing("ENCRYPTION_KEYS") or [_secrets["encryption_key"]]

EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = DATA_DIR / "mail"
#: Shows those files at /dev/mailbox/, so that a newcomer can confirm an address.
DEV_MAILBOX = True

# Browsers allow passkeys on http://localhost.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True
NOTIFY_ALLOW_HTTP = True

# A command beside script/server talks to what that runs with. Trial data never goes to a real platform by itself: whoever
# wants that sets the platform's own address.
_running = running.told(DATA_DIR)
PUBLIC_URL = (env.text("PUBLIC_URL") or _running.get("PUBLIC_URL") or PUBLIC_URL).rstrip("/")
SIMULATOR_URL = SIMULATOR_URL or _running.get("SIMULATOR_URL") or running.USUAL_SIMULATOR

WECHATPAY_API_URL = env.text("WECHATPAY_API_URL", f"{SIMULATOR_URL}/wechatpay")
WECHATPAY_OAUTH_AUTHORIZE_URL = env.text(
    "WECHATPAY_OAUTH_AUTHORIZE_URL", f"{SIMULATOR_URL}/wechatpay/connect/oauth2/authorize"
)
WECHATPAY_OAUTH_TOKEN_URL = env.text(
    "WECHATPAY_OAUTH_TOKEN_URL", f"{SIMULATOR_URL}/wechatpay/sns/oauth2/access_token"
)
ALIPAY_GATEWAY_URL = env.text("ALIPAY_GATEWAY_URL", f"{SIMULATOR_URL}/alipay/gateway.do")
ALIPAY_OAUTH_AUTHORIZE_URL = env.text(
    "ALIPAY_OAUTH_AUTHORIZE_URL", f"{SIMULATOR_URL}/alipay/oauth2/publicAppAuthorize.htm"
)
UNIONPAY_BACK_URL = env.text(
    "UNIONPAY_BACK_URL", f"{SIMULATOR_URL}/unionpay/gateway/api/backTransReq.do"
)
UNIONPAY_FRONT_URL = env.text(
    "UNIONPAY_FRONT_URL", f"{SIMULATOR_URL}/unionpay/gateway/api/frontTransReq.do"
)
UNIONPAY_QUERY_URL = env.text(
    "UNIONPAY_QUERY_URL", f"{SIMULATOR_URL}/unionpay/gateway/api/queryTrans.do"
)
UNIONPAY_FILE_URL = env.text("UNIONPAY_FILE_URL", f"{SIMULATOR_URL}/unionpay/file/")
SHOUQIANBA_API_URL = env.text("SHOUQIANBA_API_URL", f"{SIMULATOR_URL}/shouqianba")
SHOUQIANBA_GATEWAY_URL = env.text(
    "SHOUQIANBA_GATEWAY_URL", f"{SIMULATOR_URL}/shouqianba/qr/gateway"
)
CONTENT_SECURITY_POLICY = content_security_policy(
    SIMULATOR_URL,
    WECHATPAY_API_URL,
    WECHATPAY_OAUTH_AUTHORIZE_URL,
    ALIPAY_GATEWAY_URL,
    ALIPAY_OAUTH_AUTHORIZE_URL,
)
