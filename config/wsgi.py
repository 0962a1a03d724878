"""Pages and API for any WSGI server. The product's own server runs `config.rsgi`, which has this behind it."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
