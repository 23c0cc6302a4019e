"""Tests: a throw-away database, fixed secrets, nothing leaves the process."""

from __future__ import annotations

from merchant_portal.settings.base import *

SECRET_KEY = "for-tests-only-and-long-enough-to-please-every-check"  # noqa: S105
# The second key is an older one, so that rotation is always exercised.
ENCRYPTION_KEYS = [
    "test2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
    "test1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
]
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PUBLIC_URL = "http://localhost:8000"

# Nothing in it must survive a power cut.
DATABASES = {"default": default_database(folder="pg-test", durable=False)}
# Lets the flush between transactional tests empty append-only tables; a test switches it off to see them guarded.
DATABASES["default"]["OPTIONS"]["options"] = "-c app.allow_truncate=on"

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ACCOUNT_RATE_LIMITS = False
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True
NOTIFY_ALLOW_HTTP = True

CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS = {}
