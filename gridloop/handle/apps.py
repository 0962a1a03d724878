from django.apps import AppConfig


class HandleConfig(AppConfig):
    name = "gridloop.handle"
    label = "handle"
    default_auto_field = "django.db.models.BigAutoField"
