"""Brings the database up to date: migrations, cache table, catalogues. Says "empty" when it holds no merchant yet.

One process for all of it, since starting Django takes longer than the work.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django
from django.apps import apps
from django.core.management import call_command

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "merchant_portal.settings.dev")
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)
    print("used" if apps.get_model("merchants", "Merchant").objects.exists() else "empty")
