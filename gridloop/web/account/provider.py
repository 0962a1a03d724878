"""Log-in by an identity provider (OpenID Connect): allauth speaks with it, `people.access` decides.

The person is found by a claim among those who work here; nobody is made by logging in, and nothing of what the provider
tells is stored.
"""

from __future__ import annotations

import logging
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from gridloop.kernel import clock
from gridloop.kernel.errors import Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.people import access
from gridloop.people.viewer import Viewer
from gridloop.web.shell.front import inside
from gridloop.web.shell.pages import public, refusal

log = logging.getLogger(__name__)
PROVIDER = "oidc"
ADDRESS = "/login/oidc/callback"


def name() -> str:
    """What the button is called; "" if there is no provider."""
    return str(_setting("NAME")) if _setting("ISSUER") else ""


def _setting(word: str) -> Any:
    return getattr(settings, f"GRIDLOOP_OIDC_{word}", "")


class Conversation(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """allauth's conversation with the provider, with an address of ours and a signature that is always verified."""

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return request.build_absolute_uri(ADDRESS)

    def _decode_id_token(self, app: Any, id_token: str) -> Any:
        # allauth trusts a token that came straight from the provider over TLS; in a closed network there may be none.
        return jwtkit.verify_and_decode(
            credential=id_token,
            keys_url=self.openid_config["jwks_uri"],
            issuer=self.openid_config["issuer"],
            audience=app.client_id,
            lookup_kid=jwtkit.lookup_kid_jwk,
        )


@require_GET
@public
def ask(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Off to the provider."""
    if not name():
        raise not_found()
    try:
        view = OAuth2LoginView.adapter_view(Conversation(request, PROVIDER))
        response: HttpResponse = view(request)
    except (OSError, ValueError, KeyError) as error:
        raise _unreachable(error) from error
    return response


@require_GET
@public
def answer(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Back from the provider: in, or the sentence that says why not."""
    if not name():
        raise not_found()
    try:
        view = OAuth2CallbackView.adapter_view(Conversation(request, PROVIDER))
        response: HttpResponse = view(request)
    except (OSError, ValueError, KeyError) as error:
        raise _unreachable(error) from error
    return response


class Adapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """allauth's hooks: who was vouched for goes through our own door, and what failed is said in our own words."""

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        from gridloop.web.account.entry import HOME, go_on

        told = sociallogin.account.extra_data
        claims = {**(told.get("id_token") or {}), **(told.get("userinfo") or {})}
        if not claims:
            claims = told
        value = claims.get(_setting("CLAIM"))
        try:
            entered = access.vouched_for(
                username=value if isinstance(value, str) else "",
                device=request.COOKIES.get(access.DEVICE, ""),
                second=bool(_setting("SECOND_FACTOR")),
            )
        except Refused as no:
            raise ImmediateHttpResponse(refusal(request, no.status, no.sentence, code=no.code)) from no
        next_page = inside(request, str(sociallogin.state.get("next") or ""), HOME)
        raise ImmediateHttpResponse(go_on(request, entered, at=clock.now(), next_page=next_page))

    def get_provider(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        found = super().get_provider(request, provider, client_id=client_id)
        found.oauth2_adapter_class = Conversation
        return found

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> None:
        if str(error) == "cancelled":
            raise ImmediateHttpResponse(HttpResponseRedirect("/login#cancelled"))
        no = _unreachable(exception)
        raise ImmediateHttpResponse(refusal(request, no.status, no.sentence, code=no.code))

    def get_requests_session(self) -> Any:
        session = super().get_requests_session()
        session.max_redirects = 0
        return session


def _unreachable(error: Exception | None) -> Refused:
    # Only the class: the text of an error may quote a token.
    log.warning("the identity provider did not let somebody in", extra={"error": type(error).__name__})
    return Refused(
        Sentence(
            zh="通过统一身份认证登录没有成功。请重试；若仍不行，请用口令登录或联系系统管理员。",
            en="The log-in service did not answer as it should. Try again, log in with your password, or tell the "
            "system administrator.",
        ),
        status=502,
        code="provider_failed",
    )
