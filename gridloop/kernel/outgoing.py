"""Short messages to the outside, through apprise: the one place that sends them, and only to hosts that were named.

What may be asked of us is small on purpose: six ways out of apprise's two hundred, no redirects, no file, seconds
instead of minutes, and of a failure one word that names no address.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from apprise import AppriseAsset, NotifyFormat
from apprise.plugins.custom_json import NotifyJSON
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.email.base import NotifyEmail
from apprise.plugins.feishu import NotifyFeishu
from apprise.plugins.wecombot import NotifyWeComBot

from gridloop.kernel.errors import Mistake
from gridloop.kernel.language import Sentence

# Its lines quote addresses and answers; what matters is told by `NotSent`.
logging.getLogger("apprise").addHandler(logging.NullHandler())
logging.getLogger("apprise").propagate = False

CONNECT, READ = 4.0, 8.0
"""Seconds for which a host may keep us waiting."""
_ASSET = AppriseAsset(app_id="Gridloop", app_desc="Gridloop", app_url="", http_redirects=False, async_mode=False)
_WORD = re.compile(r"[A-Za-z0-9 _-]{1,40}")


class NotSent(Exception):
    """It did not leave, or was not taken; `word` says why: ``no answer``, ``HTTP 500``, ``refused 93000``."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word if _WORD.fullmatch(word) else "failed"


class _Bot:
    """What the bots of WeCom, DingTalk and Feishu have in common: 200 is no yes, the answer's own number is."""

    request_timeout: tuple[float, float]
    verify_certificate: bool

    def ask(self, url: str, payload: dict[str, Any], params: dict[str, Any] | None = None) -> bool:
        try:
            answer = requests.post(
                url,
                json=payload,
                params=params,
                timeout=self.request_timeout,
                verify=self.verify_certificate,
                allow_redirects=False,
            )
            if answer.status_code != 200:
                raise NotSent(f"HTTP {answer.status_code}")
            told = answer.json()
        except requests.RequestException as error:
            raise NotSent("no answer" if not isinstance(error, ValueError) else "no JSON") from error
        number = told.get("errcode", told.get("code", 0)) if isinstance(told, dict) else -1
        if number != 0:
            raise NotSent(f"refused {number}")
        return True


class _WeCom(NotifyWeComBot, _Bot):  # type: ignore[misc]
    def send(self, body: str, title: str = "", **_: Any) -> bool:
        return self.ask(self.api_url, {"msgtype": "text", "text": {"content": f"{title}\n{body}".strip()}})


class _DingTalk(NotifyDingTalk, _Bot):  # type: ignore[misc]
    def send(self, body: str, title: str = "", **_: Any) -> bool:
        params = None
        if self.secret:
            timestamp, sign = self.get_signature()
            params = {"timestamp": timestamp, "sign": sign}
        payload = {"msgtype": "text", "text": {"content": f"{title}\n{body}".strip()}}
        return self.ask(self.notify_url.format(token=self.token), payload, params)


class _Feishu(NotifyFeishu, _Bot):  # type: ignore[misc]
    def send(self, body: str, title: str = "", **_: Any) -> bool:
        payload = {"msg_type": "text", "content": {"text": f"{title}\n{body}".strip()}}
        return self.ask(self.notify_url.format(token=self.token), payload)


WAYS: dict[str, tuple[type[Any], str]] = {
    "wecombot": (_WeCom, "https://qyapi.weixin.qq.com"),
    "dingtalk": (_DingTalk, "https://oapi.dingtalk.com"),
    "feishu": (_Feishu, "https://open.feishu.cn"),
    "mailto": (NotifyEmail, ""),
    "mailtos": (NotifyEmail, ""),
    "json": (NotifyJSON, ""),
    "jsons": (NotifyJSON, ""),
}
"""The first word of an address -> how it is sent, and the public host of a bot."""


def _opened(url: str, base: str) -> Any:
    """apprise's object for this address, or None. A bot's `base` stands for its public host."""
    kind, public = WAYS[url.partition("://")[0].lower()]
    results = kind.parse_url(url)
    # Keys for encrypted mail are fetched from wherever the address says, also from this machine's own files.
    if not results or any(word.lower().startswith("pgp") for word in results.get("qsd", {})):
        return None
    try:
        plugin = kind(asset=_ASSET, **results)
    except TypeError:  # how apprise says that an address lacks something
        return None
    plugin.redirects = False
    plugin.request_rate_per_sec = 0  # we send in batches and do not sleep between them
    plugin.socket_connect_timeout, plugin.socket_read_timeout = CONNECT, READ
    if public and base:
        for name in ("notify_url", "api_url"):
            if hasattr(plugin, name):
                setattr(plugin, name, getattr(plugin, name).replace(public, base.rstrip("/"), 1))
    return plugin


def _place(plugin: Any, url: str, base: str) -> tuple[str, int]:
    """The host and port to which it will speak."""
    scheme = url.partition("://")[0].lower()
    public = WAYS[scheme][1]
    if public:
        parts = urlsplit(base or public)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if isinstance(plugin, NotifyEmail):
        return str(plugin.smtp_host).lower(), int(plugin.port or 25)
    return str(plugin.host).lower(), int(plugin.port or (443 if scheme == "jsons" else 80))


def wrong_with(url: str, *, base: str, hosts: Collection[str]) -> list[Mistake]:
    """What is wrong with an address: its way out, its form, or a host that nobody allowed. Never repeats it."""
    if url.partition("://")[0].lower() not in WAYS:
        ways = ", ".join(f"{w}://" for w in WAYS)
        return [
            Mistake(
                "url",
                Sentence(zh="不是允许的通知方式", en="is none of the ways that are allowed"),
                Sentence(zh=f"以其中之一开头：{ways}", en=f"begin with one of {ways}"),
            )
        ]
    if base and (urlsplit(base).scheme not in ("https", "http") or not urlsplit(base).hostname):
        return [
            Mistake(
                "base",
                Sentence(zh="不是网址", en="is no address"),
                Sentence(zh="如 https://im.example.gov.cn", en="such as https://im.example.gov.cn"),
            )
        ]
    plugin = _opened(url, base)
    if plugin is None:
        return [
            Mistake(
                "url",
                Sentence(zh="缺少必要的部分（密钥、主机或收件人）", en="lacks something: a key, a host or a recipient"),
                Sentence(zh="见“发送通知”的说明", en="see the how-to page on sending notices"),
            )
        ]
    host, port = _place(plugin, url, base)
    if host in hosts or f"{host}:{port}" in hosts:
        return []
    return [
        Mistake(
            "url",
            Sentence(zh=f"主机 {host}:{port} 不在允许之列", en=f"the host {host}:{port} is not on the list"),
            Sentence(
                zh="请先写进部署设置 GRIDLOOP_NOTICE_HOSTS", en="put it into the setting GRIDLOOP_NOTICE_HOSTS first"
            ),
        )
    ]


def send(url: str, *, base: str, title: str, lines: Sequence[str], hosts: Collection[str]) -> None:
    """Send one message of some lines. Raises `NotSent`; the list of hosts is asked again each time."""
    if wrong_with(url, base=base, hosts=hosts):
        raise NotSent("not allowed")
    plugin = _opened(url, base)
    try:
        sent = plugin.send(body="\n".join(lines), title=title, body_format=NotifyFormat.TEXT)
    except (TypeError, ValueError, OSError) as error:
        raise NotSent(type(error).__name__) from error
    if not sent:
        raise NotSent("no answer")


__all__ = ["WAYS", "NotSent", "send", "wrong_with"]
