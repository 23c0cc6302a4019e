"""Brings the database up to date (migrations, cache table) and tells what is in it, as one JSON object.

``empty``: no merchant yet; ``demo``: the demo merchant is there; ``logins``: how to get in as one of its members.
One process for all of it, since starting Django takes longer than the work.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import django
from django.core.cache import cache
from django.core.management import call_command

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "merchant_portal.settings.dev")
django.setup()

# Models can be imported only now.
from apps.merchants.models import Merchant, Role  # noqa: E402
from apps.operations.demo.cast import PASSWORD, SLUG, email_of  # noqa: E402
from apps.operations.health import HEARTBEAT_KEY  # noqa: E402

if __name__ == "__main__":
    call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)
    # A tick of the last run must not make the worker of this one look well.
    cache.delete(HEARTBEAT_KEY)
    slugs = set(Merchant.objects.values_list("slug", flat=True))
    logins = [
        {"role": role.value, "email": email_of(role.value), "password": PASSWORD} for role in Role
    ]
    print(json.dumps({"empty": not slugs, "demo": SLUG in slugs, "logins": logins}))
