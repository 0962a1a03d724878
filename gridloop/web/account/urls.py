"""The addresses of this face."""

from __future__ import annotations

from django.urls import URLPattern, path

from gridloop.web.account import entry, provider

urlpatterns: list[URLPattern] = [
    path("login", entry.log_in, name="log-in"),
    path("login/second", entry.second, name="second"),
    path("login/passkey", entry.passkey, name="passkey"),
    path("login/passkey/answer", entry.passkey_answer, name="passkey-answer"),
    path("login/oidc", provider.ask, name="oidc"),
    path("login/oidc/callback", provider.answer, name="oidc-callback"),
    path("logout", entry.log_out, name="log-out"),
    path("password", entry.password, name="password"),
    path("account/confirm", entry.confirm, name="confirm"),
]
