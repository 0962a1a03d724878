"""Settings of one deployment, all from the environment (`environment.py` has the table); no code of the product imports
this file."""

from __future__ import annotations

import os
from pathlib import Path

from django.utils.functional import SimpleLazyObject

from config import environment
from gridloop import web
from gridloop.kernel import logs
from gridloop.kernel.postgres import Cluster

_values = environment.read(os.environ)
globals().update({name: value for name, value in _values.items() if name.startswith("GRIDLOOP_")})
GRIDLOOP_DATA = _values["GRIDLOOP_DATA"]
GRIDLOOP_DISTRICTS = _values["GRIDLOOP_DISTRICTS"]
GRIDLOOP_BASEMAP_HOSTS = tuple(_values["GRIDLOOP_BASEMAP"].get("hosts", ()))


EMBEDDED = not _values["DATABASE_URL"]
DATABASES = {"default": environment.database(_values["DATABASE_URL"] or Cluster(GRIDLOOP_DATA).url())}
# Read, or made, when it is first needed: looking at the settings must not write anything.
SECRET_KEY = _values["GRIDLOOP_SECRET_KEY"] or SimpleLazyObject(lambda: environment.secret_key(GRIDLOOP_DATA))
DEBUG = _values["GRIDLOOP_DEBUG"]
ALLOWED_HOSTS = _values["GRIDLOOP_HOSTS"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "procrastinate.contrib.django",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "gridloop.kernel",
    "gridloop.people",
    "gridloop.territory",
    "gridloop.registry",
    "gridloop.standard",
    "gridloop.cases",
    "gridloop.discover",
    "gridloop.dispatch",
    "gridloop.handle",
    "gridloop.feedback",
    "gridloop.evaluate",
    "gridloop.web",
    "gridloop",
]
AUTH_USER_MODEL = "people.Person"
MIDDLEWARE = [
    "gridloop.gateways.api.errors.ApiPages",
    "django.middleware.security.SecurityMiddleware",
    "gridloop.web.shell.security.Strict",
    "gridloop.web.shell.assets.Assets",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "gridloop.people.sessions.SessionLimits",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [str(Path(web.__file__).parent / face / "templates") for face, _ in web.FACES],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.csrf",
                "django.template.context_processors.request",
                "gridloop.web.shell.pages.shell",
            ],
            "libraries": {"shell": "gridloop.web.shell.tags"},
            "builtins": ["gridloop.web.shell.tags"],
        },
    }
]
WSGI_APPLICATION = "config.wsgi.application"
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["gridloop.people.passwords.Argon2"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {"user_attributes": ("username", "name")}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
    )
]

# allauth keeps second factors and speaks with an identity provider; who may come in is decided by `people.access`.
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_USER_MODEL_EMAIL_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
MFA_ADAPTER = "gridloop.people.factors.Locked"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_RECOVERY_CODE_DIGITS = 10
SOCIALACCOUNT_ADAPTER = "gridloop.web.account.provider.Adapter"
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
SOCIALACCOUNT_PROVIDERS = environment.provider(_values)

# Browsers are told to be strict.
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _values["GRIDLOOP_HTTPS"]
SECURE_HSTS_SECONDS = 31_536_000 if _values["GRIDLOOP_HTTPS"] else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _values["GRIDLOOP_BEHIND_PROXY"] else None
SECURE_REDIRECT_EXEMPT = [r"^health/?$"]  # a monitor on this machine asks without a proxy
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LOGGING = logs.configuration(_values["GRIDLOOP_LOG_LEVEL"])
