"""Settings of the simulator: another program, which shares nothing with the product but this folder."""

import os
from pathlib import Path

SIMULATOR = True

BASE_DIR = Path(__file__).resolve().parent.parent.parent
DATA_DIR = Path(os.environ.get("PORTAL_DATA_DIR") or BASE_DIR / ".data")
DATA_DIR.mkdir(parents=True, exist_ok=True)

# It guards nothing: every key in the simulator is a test key.
SECRET_KEY = "simulator-only-not-a-secret"  # noqa: S105
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "testserver"]

#: Where the simulator answers and where its wallets' browsers listen; set by ``python -m apps.simulator``.
SIMULATOR_ORIGIN = os.environ.get("SIMULATOR_ORIGIN", "http://localhost:9100")
SIMULATOR_WECHAT_ORIGIN = os.environ.get("SIMULATOR_WECHAT_ORIGIN", "http://localhost:9101")
SIMULATOR_ALIPAY_ORIGIN = os.environ.get("SIMULATOR_ALIPAY_ORIGIN", "http://localhost:9102")
SIMULATOR_UNIONPAY_ORIGIN = os.environ.get("SIMULATOR_UNIONPAY_ORIGIN", "http://localhost:9103")
#: The portal that the wallets' browsers open.
PORTAL_URL = os.environ.get("SIMULATOR_PORTAL_ORIGIN") or os.environ.get(
    "PORTAL_URL", "http://localhost:8000"
)
#: Simulated seconds from the acceptance of a wallet refund to its end.
SIMULATOR_REFUND_SECONDS = float(os.environ.get("SIMULATOR_REFUND_SECONDS", "2"))
#: Simulated hour (Beijing) from which the bill of the day before is served.
SIMULATOR_BILL_HOUR = int(os.environ.get("SIMULATOR_BILL_HOUR", "10"))
#: Minutes that Alipay's timestamp may be off the platform's clock, which is looked at while that is wrong (fault clock_skew)
#: and not otherwise: what the real gateway tolerates is UNVERIFIED, and recorded examples are years old.
SIMULATOR_ALIPAY_TIMESTAMP_MINUTES = float(
    os.environ.get("SIMULATOR_ALIPAY_TIMESTAMP_MINUTES", "10")
)
#: Minutes that UnionPay's txnTime may be off the platform's clock (UNVERIFIED).
SIMULATOR_UNIONPAY_TXN_MINUTES = float(os.environ.get("SIMULATOR_UNIONPAY_TXN_MINUTES", "10"))

#: Whether a Shouqianba terminal's key ends with the calendar day (Beijing, simulated), as documented; "0" for not.
SIMULATOR_TERMINAL_KEYS_EXPIRE = os.environ.get("SIMULATOR_TERMINAL_KEYS_EXPIRE", "1") != "0"

INSTALLED_APPS = ["django.contrib.staticfiles", "apps.simulator"]
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "apps.simulator.transport.ServerDate",
    "apps.simulator.transport.Transport",
]
ROOT_URLCONF = "apps.simulator.urls"
# The platforms' paths have no trailing slash; never redirect a signed request.
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.static",
                "django.template.context_processors.i18n",
            ]
        },
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "simulator.sqlite3",
        "CONN_MAX_AGE": None,
        # Tests of several threads need the waiting of a file: connections that share one database in memory
        # are refused at once ("table is locked"), whatever the timeout.
        "TEST": {"NAME": DATA_DIR / "test-simulator.sqlite3"},
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]

DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "loggers": {
        "simulator": {"handlers": ["console"], "level": "INFO", "propagate": True},
        "django.request": {"handlers": ["console"], "level": "ERROR", "propagate": True},
    },
}
