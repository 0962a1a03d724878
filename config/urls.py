"""What the deployment serves where."""

from __future__ import annotations

from gridloop.gateways.api.urls import urlpatterns

__all__ = ["urlpatterns"]
