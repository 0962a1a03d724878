from django.apps import AppConfig


class DiscoverConfig(AppConfig):
    name = "gridloop.discover"
    label = "discover"
    default_auto_field = "django.db.models.BigAutoField"
