"""The addresses of this face."""

from __future__ import annotations

from django.urls import URLPattern, path

from gridloop.web.account import entry, own, provider

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
    path("account/", own.account, name="account"),
    path("account/sessions/end", own.end_session, name="end-session"),
    path("account/second-factor", own.second_factor, name="second-factor"),
    path("account/second-factor/app", own.new_app, name="new-app"),
    path("account/second-factor/codes", own.new_codes, name="new-codes"),
    path("account/second-factor/remove", own.remove, name="remove-factor"),
    path("account/second-factor/passkey", own.ask_new_passkey, name="ask-new-passkey"),
    path("account/second-factor/passkey/answer", own.new_passkey, name="new-passkey"),
]
