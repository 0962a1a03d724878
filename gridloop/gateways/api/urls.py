"""Where the API is mounted, and the two addresses for those who operate it."""

from __future__ import annotations

from django.urls import path

from gridloop.gateways.api import operations
from gridloop.gateways.api.service import api

urlpatterns = [
    path("api/v1/", api.urls),
    path("health", operations.health, name="health"),
    path("metrics", operations.metrics, name="metrics"),
]
