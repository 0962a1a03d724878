"""What the deployment serves where."""

from __future__ import annotations

from gridloop.gateways.api.urls import urlpatterns as machines
from gridloop.web.urls import urlpatterns as people

urlpatterns = [*machines, *people]
