"""Production: refuses to start without its secrets, speaks https only."""

from __future__ import annotations

import base64
import binascii

from django.core.exceptions import ImproperlyConfigured

from merchant_portal.settings import env
from merchant_portal.settings.base import *

SECRET_KEY = env.required("SECRET_KEY")
if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5:
    raise ImproperlyConfigured("SECRET_KEY must have at least 50 characters, taken at random")

ENCRYPTION_KEYS = env.listing("ENCRYPTION_KEYS")
if not ENCRYPTION_KEYS:
    raise ImproperlyConfigured("the environment variable ENCRYPTION_KEYS must be set")
for _entry in ENCRYPTION_KEYS:
    _id, _, _key = _entry.partition(":")
    try:
        _length = len(base64.b64decode(_key, validate=True))
    except binascii.Error:
        _length = 0
    # The message must not repeat the key.
    if not _id or _length != 32:
        raise ImproperlyConfigured("each of ENCRYPTION_KEYS must be id:base64 of 32 bytes")

env.required("DATABASE_URL")
env.required("CELERY_BROKER_URL")
env.required("ALLOWED_HOSTS")
ALLOWED_HOSTS = env.listing("ALLOWED_HOSTS")
PUBLIC_URL = env.required("PUBLIC_URL").rstrip("/")
if not PUBLIC_URL.startswith("https://"):
    raise ImproperlyConfigured("PUBLIC_URL must begin with https://")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

# ---------------------------------------------------------------- https
SECURE_SSL_REDIRECT = True
# Probes of the machine's own supervisor come over plain http and carry nothing.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
# The proxy in front must set this header itself and drop what clients send.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
LANGUAGE_COOKIE_SECURE = True
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("TRUSTED_PROXY_COUNT", 1)
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https"

# ---------------------------------------------------------------- static files
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = False
STORAGES = STORAGES | {
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
}

# ---------------------------------------------------------------- mail and logs
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.integer("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS")
EMAIL_TIMEOUT = 10
LOGGING = logging_config(formatter="json")
