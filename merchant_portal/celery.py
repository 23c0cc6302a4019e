"""The Celery application: ``celery -A merchant_portal worker``, ``… beat``."""

from __future__ import annotations

import os

from celery import Celery

from merchant_portal import spool

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "merchant_portal.settings.dev")
spool.register()

app = Celery("merchant_portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
