"""Settings of a benchmark's processes: as in production where it costs time, with made-up secrets.

The embedded database writes through to the disk as it does for a shop. BENCH_DATABASE names the run's own database.
"""

from __future__ import annotations

from merchant_portal.settings import env
from merchant_portal.settings.base import *

SECRET_KEY = "for-measurements-only-and-long-enough-to-please-every-check"  # noqa: S105
ENCRYPTION_KEYS = ["bench:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="]
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
PUBLIC_URL = "http://localhost:8000"
NOTIFY_ALLOW_HTTP = True

DATABASES = {"default": default_database(folder="pg-bench")}
DATABASES["default"]["NAME"] = env.text("BENCH_DATABASE", "postgres")

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS = {}
LOGGING = logging_config(formatter="plain")
LOGGING["root"]["level"] = env.text("LOG_LEVEL", "ERROR")
