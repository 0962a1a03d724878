"""The web process: the product's pages and API, with the short way for incoming reports before them."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
pages = get_wsgi_application()

from gridloop.gateways.api.front import short_way  # noqa: E402 - needs the settings

application = short_way(pages)
