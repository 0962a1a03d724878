"""Log-in by an identity provider (OpenID Connect): allauth speaks with it, `people.access` decides."""

from __future__ import annotations
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
class Adapter(DefaultSocialAccountAdapter): pass
