"""The plain WSGI application, for servers without streams; ``asgi`` is what the portal runs as."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "merchant_portal.settings.dev")

application = get_wsgi_application()
