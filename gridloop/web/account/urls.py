"""The addresses of this face."""

from __future__ import annotations

from django.urls import URLPattern, path

from gridloop.web.account import channels, entry, notices, own, provider

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
    path("account/bell", notices.bell, name="bell"),
    path("account/notices", notices.notices, name="notices"),
    path("account/notices/read", notices.read, name="read"),
    path("account/notices/choices", notices.choices, name="choices"),
    path("account/notices/choose", notices.choose, name="choose"),
    path("account/notices/<int:notice_id>", notices.open_notice, name="notice"),
    path("account/channels", channels.channels, name="channels"),
    path("account/channels/keep", channels.keep, name="keep-channel"),
    path("account/channels/switch", channels.switch, name="switch-channel"),
    path("account/channels/try", channels.attempt, name="try-channel"),
    path("account/channels/again", channels.again, name="again"),
]
