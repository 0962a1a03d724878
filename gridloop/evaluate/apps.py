from django.apps import AppConfig


class EvaluateConfig(AppConfig):
    name = "gridloop.evaluate"
    label = "evaluate"
    default_auto_field = "django.db.models.BigAutoField"
