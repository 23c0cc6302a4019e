"""Settings that hold everywhere. ``dev``, ``test`` and ``production`` add what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apps.core.postgres import keeper
from merchant_portal.settings import env

BASE_DIR = Path(__file__).resolve().parent.parent.parent
#: Everything the portal writes on a machine of its own: embedded database, spool, logs, mail.
DATA_DIR = Path(env.text("PORTAL_DATA_DIR") or BASE_DIR / ".data").absolute()
DATA_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = False
ALLOWED_HOSTS: list[str] = []
ROOT_URLCONF = "merchant_portal.urls"
WSGI_APPLICATION = "merchant_portal.wsgi.application"
ASGI_APPLICATION = "merchant_portal.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

#: The portal's own address as customers and platforms see it, without a slash at the end. Printed codes and
#: notification addresses are made from it, never from a request's Host header.
PUBLIC_URL = env.text("PUBLIC_URL", "http://localhost:8000").rstrip("/")

# ---------------------------------------------------------------- apps
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    # Forms are drawn by templates/django/forms.
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_htmx",
    # The loaders are given below, so the variant that does not rewrite TEMPLATES.
    "template_partials.apps.SimpleAppConfig",
    "apps.core",
    "apps.accounts",
    "apps.merchants",
    "apps.approvals",
    "apps.ledger",
    "apps.platforms",
    "apps.qrcodes",
    "apps.risk",
    "apps.payments",
    "apps.refunds",
    "apps.checkout",
    "apps.statements",
    "apps.reconciliation",
    "apps.reports",
    "apps.operations",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]


def templates(*, cached: bool) -> list[dict[str, Any]]:
    """TEMPLATES with the partials loader around the others; ``cached`` compiles each template once."""
    loaders: list[Any] = [
        "django.template.loaders.filesystem.Loader",
        "django.template.loaders.app_directories.Loader",
    ]
    if cached:
        loaders = [("django.template.loaders.cached.Loader", loaders)]
    return [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [BASE_DIR / "templates"],
            "OPTIONS": {
                "loaders": [("template_partials.loader.Loader", loaders)],
                "builtins": ["template_partials.templatetags.partials"],
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.template.context_processors.i18n",
                    "django.template.context_processors.static",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                    "apps.merchants.context_processors.workspace",
                    "apps.approvals.context_processors.waiting",
                ],
            },
        }
    ]


TEMPLATES = templates(cached=True)
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# ---------------------------------------------------------------- language and time
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"
USE_THOUSAND_SEPARATOR = False

# ---------------------------------------------------------------- database
#: Threads of a web process that answer requests; each may hold one connection, a few more serve streams.
WEB_THREADS = env.integer("WEB_THREADS", 8)
# Workers, beat and commands connect when they need to; only web processes (asgi.py) switch the pool on.
_pool_size = env.integer("DATABASE_POOL_SIZE", 0)
_pool: dict[str, Any] = {}
if _pool_size:
    _pool = {"pool": {"min_size": 1, "max_size": _pool_size}}


def embedded_database(folder: Path, *, durable: bool) -> dict[str, Any]:
    """The embedded PostgreSQL whose data lie in ``folder``; it starts at the first connection.

    ``durable=False`` is for tests: a power cut may lose or break the data.
    """
    return {
        "ENGINE": "apps.core.postgres.engine",
        "EMBEDDED": {"folder": str(folder), "durable": durable},
        "NAME": keeper.DATABASE,
        "USER": keeper.ROLE,
        "HOST": str(keeper.socket_folder(folder)),
        "OPTIONS": {},
    }


def default_database(*, folder: str = "pg", durable: bool = True) -> dict[str, Any]:
    """The database at DATABASE_URL, else the embedded one under the data folder."""
    url = env.text("DATABASE_URL")
    found = env.database(url) if url else embedded_database(DATA_DIR / folder, durable=durable)
    found["OPTIONS"] |= _pool
    # How often a connection is asked a statement of apps.core.sql before it keeps the plan. Scopes are settings of a session,
    # so a pooler between us and PostgreSQL keeps sessions apart already.
    found["OPTIONS"]["prepare_threshold"] = 5
    # A pool does not go together with persistent connections, and threads come and go.
    found["CONN_MAX_AGE"] = 0
    found["TEST"] = {"NAME": "_".join(filter(None, ["test_portal", env.text("PORTAL_TEST_DB")]))}
    return found


DATABASES = {"default": default_database()}

# ---------------------------------------------------------------- cache
CACHES: dict[str, dict[str, Any]]
if env.text("REDIS_URL"):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": env.text("REDIS_URL"),
            "KEY_PREFIX": "portal",
        }
    }
else:
    # Rate limits must be counted for all processes together, so not in one process's memory.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "portal_cache",
        }
    }

# ---------------------------------------------------------------- static files
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
#: Filled by ``collectstatic``; only production serves from it.
STATIC_ROOT: Path | None = None
WHITENOISE_USE_FINDERS = True
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# ---------------------------------------------------------------- people
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
# ACCOUNT_SIGNUP_FORM_CLASS = "apps.merchants.forms.SignupForm"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_RATE_LIMITS: dict[str, str] | bool = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/5m/key",
    "signup": "20/m/ip",
    "reset_password": "20/m/ip,5/m/key",
}
#: Proxies in front of the portal whose X-Forwarded-For entries may be believed.
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("TRUSTED_PROXY_COUNT", 0)
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Merchant Portal"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = False

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# ---------------------------------------------------------------- platforms
#: Where the simulator answers; "" means that none is used.
SIMULATOR_URL = env.text("SIMULATOR_URL").rstrip("/")
WECHATPAY_API_URL = env.text("WECHATPAY_API_URL", "https://api.mch.weixin.qq.com")
WECHATPAY_OAUTH_AUTHORIZE_URL = env.text(
    "WECHATPAY_OAUTH_AUTHORIZE_URL", "https://open.weixin.qq.com/connect/oauth2/authorize"
)
WECHATPAY_OAUTH_TOKEN_URL = env.text(
    "WECHATPAY_OAUTH_TOKEN_URL", "https://api.weixin.qq.com/sns/oauth2/access_token"
)
ALIPAY_GATEWAY_URL = env.text("ALIPAY_GATEWAY_URL", "https://openapi.alipay.com/gateway.do")
ALIPAY_OAUTH_AUTHORIZE_URL = env.text(
    "ALIPAY_OAUTH_AUTHORIZE_URL", "https://openauth.alipay.com/oauth2/publicAppAuthorize.htm"
)
#: Where UnionPay's transactions, its browser form, its queries and its files are taken.
UNIONPAY_BACK_URL = env.text(
    "UNIONPAY_BACK_URL", "https://gateway.95516.com/gateway/api/backTransReq.do"
)
UNIONPAY_FRONT_URL = env.text(
    "UNIONPAY_FRONT_URL", "https://gateway.95516.com/gateway/api/frontTransReq.do"
)
UNIONPAY_QUERY_URL = env.text(
    "UNIONPAY_QUERY_URL", "https://gateway.95516.com/gateway/api/queryTrans.do"
)
UNIONPAY_FILE_URL = env.text("UNIONPAY_FILE_URL", "https://filedownload.95516.com/")
#: What the second part of the signing certificate's common name must be.
UNIONPAY_CERTIFICATE_OWNERS = env.listing("UNIONPAY_CERTIFICATE_OWNERS") or ["中国银联股份有限公司"]
SHOUQIANBA_API_URL = env.text("SHOUQIANBA_API_URL", "https://vsi-api.shouqianba.com")
SHOUQIANBA_GATEWAY_URL = env.text("SHOUQIANBA_GATEWAY_URL", "https://qr.shouqianba.com/gateway")
#: What Shouqianba calls the wallets (``payway``): for a code to be scanned, and for the page inside a wallet, whose
#: documentation names Alipay and WeChat Pay only. Alipay's 2 is its present interface, 1 the older one.
SHOUQIANBA_CODE_PAYWAYS = env.pairs("SHOUQIANBA_CODE_PAYWAYS", "wechatpay:3,alipay:2,unionpay:17")
SHOUQIANBA_PAGE_PAYWAYS = env.pairs("SHOUQIANBA_PAGE_PAYWAYS", "wechatpay:3,alipay:1")
#: Seconds within which a notification is answered, however slow the database is; WeChat Pay waits for five.
NOTIFY_ANSWER_SECONDS = env.integer("NOTIFY_ANSWER_SECONDS", 4)
#: New orders in a minute before a payer is asked to wait: by one printed code (a busy canteen's counter takes one each two
#: seconds), and from one address (a shop's whole Wi-Fi, or many phones of one carrier, may stand behind it).
ORDERS_PER_MINUTE_BY_CODE = env.integer("ORDERS_PER_MINUTE_BY_CODE", 300)
ORDERS_PER_MINUTE_BY_ADDRESS = env.integer("ORDERS_PER_MINUTE_BY_ADDRESS", 300)
#: Days that the raw bodies of notifications are kept.
NOTIFICATION_KEEP_DAYS = env.integer("NOTIFICATION_KEEP_DAYS", 30)
#: The largest bill taken, as received. Larger uploads than the second are imported in the background.
STATEMENT_MAX_BYTES = env.integer("STATEMENT_MAX_MB", 64) * 1024 * 1024
STATEMENT_BACKGROUND_BYTES = env.integer("STATEMENT_BACKGROUND_KB", 512) * 1024
#: The most that is kept of one merchant's files for print shops; the oldest go first. No job is larger.
PRINT_KEPT_BYTES = env.integer("PRINT_KEPT_MB", 500) * 1024 * 1024
#: Days that a refused upload is kept.
STATEMENT_QUARANTINE_DAYS = env.integer("STATEMENT_QUARANTINE_DAYS", 30)
#: Base64 of 32 bytes for the keyed hashes of payers. Before the oldest of ENCRYPTION_KEYS is taken away for good, set
#: this to it, or payers of the past are no longer recognised.
HASH_KEY = env.text("HASH_KEY")
#: Seconds for one call to a platform; afterwards its outcome is unknown and is asked again.
PLATFORM_HTTP_TIMEOUT = env.integer("PLATFORM_HTTP_TIMEOUT", 10)
#: How many calls a second the portal makes for one account, when it asks by itself. WeChat Pay publishes 150 for refunds
#: and 300 for their queries; the others publish nothing, so their numbers are careful.
PLATFORM_CALLS_PER_SECOND = {
    "wechatpay": env.integer("WECHATPAY_CALLS_PER_SECOND", 150),
    "alipay": env.integer("ALIPAY_CALLS_PER_SECOND", 30),
    "unionpay": env.integer("UNIONPAY_CALLS_PER_SECOND", 10),
    "shouqianba": env.integer("SHOUQIANBA_CALLS_PER_SECOND", 10),
}
#: The same while its last call brought no usable answer; WeChat Pay takes 6 refunds a second while they fail.
PLATFORM_CALLS_PER_SECOND_FAILING = {
    "wechatpay": env.integer("WECHATPAY_CALLS_PER_SECOND_FAILING", 6),
    "alipay": env.integer("ALIPAY_CALLS_PER_SECOND_FAILING", 5),
    "unionpay": env.integer("UNIONPAY_CALLS_PER_SECOND_FAILING", 2),
    "shouqianba": env.integer("SHOUQIANBA_CALLS_PER_SECOND_FAILING", 2),
}
#: Questions under way in one worker at once: all together, and of one account, so that a silent platform leaves room.
ASKING_AT_ONCE = env.integer("ASKING_AT_ONCE", 64)
ASKING_AT_ONCE_PER_ACCOUNT = env.integer("ASKING_AT_ONCE_PER_ACCOUNT", 32)
#: Platforms notify over https only; a development machine and its simulator may do without.
NOTIFY_ALLOW_HTTP = False


# ---------------------------------------------------------------- Content-Security-Policy
def content_security_policy(*platform_urls: str) -> dict[str, Any]:
    """The policy of every page. ``platform_urls``: hosts that a checkout form may lead to.

    Browsers check form-action against the redirect that answers a POST as well, so the platforms' hosts stand there.
    """
    hosts = sorted({env.origin(url) for url in platform_urls} - {""})
    return {
        "DIRECTIVES": {
            "default-src": ["'none'"],
            "script-src": ["'self'"],
            "style-src": ["'self'"],
            "connect-src": ["'self'"],
            "font-src": ["'self'"],
            "img-src": ["'self'", "data:"],
            "manifest-src": ["'self'"],
            "form-action": ["'self'", *hosts],
            "base-uri": ["'none'"],
            "frame-ancestors": ["'none'"],
        }
    }


CONTENT_SECURITY_POLICY = content_security_policy(
    WECHATPAY_API_URL,
    WECHATPAY_OAUTH_AUTHORIZE_URL,
    ALIPAY_GATEWAY_URL,
    ALIPAY_OAUTH_AUTHORIZE_URL,
    UNIONPAY_FRONT_URL,
    SHOUQIANBA_GATEWAY_URL,
)

# ---------------------------------------------------------------- jobs
SPOOL_DIR = DATA_DIR / "spool"
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", "spool://")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
if CELERY_BROKER_URL.startswith("spool:"):
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "folder": str(SPOOL_DIR),
        # Seconds between two looks into the folder; the stock value of 1 makes a worker take one task a second.
        "polling_interval": 0.05,
    }
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = env.integer("WORKER_CONCURRENCY", 2)
#: How many workers may be busy with one batch task, such as asking about payments, at once.
BATCH_ROUNDS = env.integer("BATCH_ROUNDS", 2)
#: Seconds that a stopping worker gives its running tasks before it hands them back.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 8
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_TIME_LIMIT = 600
CELERY_TASK_SOFT_TIME_LIMIT = 540
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
#: How many months of the tables split by month are made ahead, this one counted.
PARTITION_MONTHS_AHEAD = 6
#: What beat sends. ``expires`` (seconds) keeps a stopped worker's queue from filling with stale ticks.
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "relay-dues": {
        "task": "core.relay_dues",
        "schedule": 1.0,
        "options": {"expires": 5},
    },
    "beat-heartbeat": {
        "task": "operations.heartbeat",
        # Beat waits one interval before its very first tick, and so does whoever waits for /readyz.
        "schedule": 3.0,
        "options": {"expires": 30},
    },
    # Months of the tables split by month, long before they are needed.
    "make-months": {
        "task": "operations.make_months",
        "schedule": 6 * 3600.0,
        "options": {"expires": 3600},
    },
    # Yesterday's bills become ready at some time in the morning; planning them again changes nothing.
    "plan-yesterday": {
        "task": "statements.plan_yesterday",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    # Balances for refunds: accounts that are not looked at yet; each then asks for itself.
    "plan-balances": {
        "task": "statements.plan_watching",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    # Who is told of yesterday by noon though no bill came; what is matched before asks for itself.
    "plan-mornings": {
        "task": "reconciliation.plan_mornings",
        "schedule": 900.0,
        "options": {"expires": 900},
    },
    # Odd use of codes: looked at over whole hours and days, so that a missed tick loses nothing.
    "plan-watching": {
        "task": "reports.plan_watching",
        "schedule": 900.0,
        "options": {"expires": 900},
    },
    # Certificates and terminals that nobody looks after, such as those of accounts connected before there was such work.
    "plan-upkeep": {
        "task": "platforms.plan_upkeep",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    # Raw notification bodies are kept for NOTIFICATION_KEEP_DAYS only.
    "expire-notification-bodies": {
        "task": "platforms.expire_bodies",
        "schedule": 6 * 3600.0,
        "options": {"expires": 3600},
    },
    # Refused uploads are kept for STATEMENT_QUARANTINE_DAYS only.
    "expire-uploads": {
        "task": "statements.expire_uploads",
        "schedule": 6 * 3600.0,
        "options": {"expires": 3600},
    },
    # The doors that keep a form sent twice from opening two orders.
    "forget-forms": {
        "task": "checkout.forget_forms",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    # Payments and refunds of the last two days under each merchant's risk rules; a merchant without any costs one look.
    "plan-risk": {
        "task": "checkout.plan_risk",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "seal-audit": {
        "task": "operations.seal_audit",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
}

# ---------------------------------------------------------------- mail and logs
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Merchant Portal <portal@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL


def logging_config(*, formatter: str) -> dict[str, Any]:
    """Everything to standard error, redacted; ``formatter`` is ``plain`` or ``json``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "redact": {"()": "apps.core.logging.RedactionFilter"},
            "calm": {"()": "apps.core.logging.CalmRequests"},
        },
        "formatters": {
            "plain": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
                "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
            },
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": formatter,
                "filters": ["redact"],
            }
        },
        "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
        "loggers": {
            # One line a second for each tick of the relay says nothing.
            "celery.beat": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.request": {"handlers": [], "filters": ["calm"], "propagate": True},
            "uvicorn": {"handlers": [], "level": "INFO", "propagate": True},
            # The proxy in front keeps the access log.
            "uvicorn.access": {"level": "WARNING"},
        },
    }


LOGGING = logging_config(formatter="plain")
