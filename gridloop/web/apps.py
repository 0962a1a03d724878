from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "gridloop.web"
    label = "web"
