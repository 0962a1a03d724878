"""The environment of one deployment, read and checked as a whole: one table, and every mistake at once."""

from __future__ import annotations

import os
import re
import secrets
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from gridloop.kernel.errors import Mistake
from gridloop.kernel.language import Sentence

ROOT = Path(__file__).resolve().parent.parent


class WrongSettings(ImproperlyConfigured):
    """The environment cannot be used; `mistakes` says all that is wrong with it."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(f"{m.place}: {m.wrong.en} -> {m.instead.en}" for m in mistakes))


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable: how it is read, its default as one would write it, and what it means."""

    name: str
    read: Callable[[str], Any]
    default: str
    meaning: Sentence


class _Wrong(Exception):
    def __init__(self, zh: str, en: str, instead_zh: str, instead_en: str) -> None:
        self.wrong = Sentence(zh=zh, en=en)
        self.instead = Sentence(zh=instead_zh, en=instead_en)


def _text(value: str) -> str:
    return value


def _flag(value: str) -> bool:
    if value.lower() in ("1", "yes", "true", "on"):
        return True
    if value.lower() in ("", "0", "no", "false", "off"):
        return False
    raise _Wrong(f"“{value}”不是是或否", f"“{value}” is neither yes nor no", "yes 或 no", "yes or no")


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
            raise _Wrong(
                f"“{value}”不是 {low} 到 {high} 的整数",
                f"“{value}” is no whole number from {low} to {high}",
                f"{low}–{high}",
                f"{low}-{high}",
            )
        return int(value)

    return read


def _folder(value: str) -> Path:
    place = Path(value).expanduser().absolute()
    if place.exists() and not place.is_dir():
        raise _Wrong(f"{place} 不是目录", f"{place} is no folder", "一个目录", "a folder")
    return place


def _hosts(value: str) -> list[str]:
    hosts = [host.strip() for host in value.split(",") if host.strip()]
    bad = [h for h in hosts if "*" in h or "/" in h or not re.fullmatch(r"\.?[\w.-]+|\[[0-9a-fA-F:]+\]", h)]
    if bad or not hosts:
        raise _Wrong(
            f"不是主机名：{'、'.join(bad) or '（空）'}（不允许 *，不带协议和端口）",
            f"not a host name: {', '.join(bad) or '(nothing)'} (no *, no scheme, no port)",
            "grid.example.gov.cn,10.1.2.3",
            "grid.example.gov.cn,10.1.2.3",
        )
    return hosts


def _zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise _Wrong(f"没有时区 {value}", f"there is no time zone {value}", "Asia/Shanghai", "Asia/Shanghai") from None
    return value


def _level(value: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if value.upper() not in levels:
        raise _Wrong(f"没有级别“{value}”", f"there is no level “{value}”", "、".join(levels), ", ".join(levels))
    return value.upper()


def _secret(value: str) -> str:
    if value and len(value) < 32:
        raise _Wrong(
            "太短，容易被猜到",
            "is too short and can be guessed",
            "至少 32 个随机字符；不设则由程序生成",
            "at least 32 random characters; leave it out and one is made",
        )
    return value


def _among(*words: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in words:
            raise _Wrong(
                f"“{value}”不在可选值之内", f"“{value}” is none of the choices", "、".join(words), ", ".join(words)
            )
        return value

    return read


def _address(value: str) -> str:
    if value:
        parts = urlsplit(value)
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if (parts.scheme != "https" and not (here and parts.scheme == "http")) or not parts.hostname or parts.username:
            raise _Wrong(
                f"“{value}”不是 https 地址",
                f"“{value}” is no https address",
                "https://login.example.gov.cn",
                "https://login.example.gov.cn",
            )
    return value.rstrip("/")


def _destinations(value: str) -> list[str]:
    places = [place.strip().lower() for place in value.split(",") if place.strip()]
    bad = [p for p in places if not re.fullmatch(r"[\w-]+(\.[\w-]+)*(:\d{1,5})?", p)]
    if bad:
        raise _Wrong(
            f"不是“主机”或“主机:端口”：{'、'.join(bad)}",
            f"neither a host nor host:port: {', '.join(bad)}",
            "qyapi.weixin.qq.com,smtp.example.gov.cn:465",
            "qyapi.weixin.qq.com,smtp.example.gov.cn:465",
        )
    return places


def _database_url(value: str) -> str:
    if value:
        parts = urlsplit(value)
        if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/"):
            raise _Wrong(
                "不是 PostgreSQL 地址",  # never show it: it may hold a password
                "is no address of a PostgreSQL database",
                "postgresql://用户:口令@主机:5432/库名",
                "postgresql://user:password@host:5432/name",
            )
    return value


_TIANDITU = (
    "https://t{{s}}.tianditu.gov.cn/{layer}_w/wmts?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER={layer}&STYLE=default"
    "&TILEMATRIXSET=w&FORMAT=tiles&TILEMATRIX={{z}}&TILEROW={{y}}&TILECOL={{x}}&tk={key}"
)


def _basemap(value: str) -> dict[str, Any]:
    """The base map under the grids: as the map element reads it, with the hosts that a browser may ask."""
    if not value:
        return {}
    if key := re.fullmatch(r"tianditu:([0-9a-zA-Z]{16,64})", value):
        layers = [
            [_TIANDITU.format(layer=layer, key=key[1]).replace("{s}", str(n)) for n in range(8)]
            for layer in ("vec", "cva")
        ]
        hosts = [f"https://t{n}.tianditu.gov.cn" for n in range(8)]
        return {"kind": "raster", "layers": layers, "hosts": hosts, "maxzoom": 18, "attribution": "天地图"}
    if value.lower().endswith(".pmtiles"):
        file = Path(value).expanduser().absolute()
        head = file.open("rb").read(127) if file.is_file() else b""
        if head[:7] != b"PMTiles" or len(head) < 127 or head[7] != 3:
            raise _Wrong(
                f"{file} 不是 PMTiles 第3版文件",
                f"{file} is no PMTiles file of version 3",
                "一个 .pmtiles 文件",
                "a .pmtiles file",
            )
        kind = "vector" if head[99] == 1 else "raster"
        return {"kind": "pmtiles", "tiles": kind, "file": file, "hosts": [], "maxzoom": head[101], "attribution": ""}
    address = urlsplit(value)
    if (
        address.scheme not in ("http", "https")
        or not address.hostname
        or not {"{z}", "{x}", "{y}"} <= set(re.findall(r"\{[a-z]\}", value))
    ):
        raise _Wrong(
            "不是底图地址",
            "is no address of a base map",
            "https://主机/{z}/{x}/{y}.png、WMTS 地址（TILEMATRIX={z}&TILEROW={y}&TILECOL={x}）、"
            "tianditu:密钥，或 .pmtiles 文件",
            "https://host/{z}/{x}/{y}.png, a WMTS address (TILEMATRIX={z}&TILEROW={y}&TILECOL={x}), tianditu:key, "
            "or a .pmtiles file",
        )
    host = f"{address.scheme}://{address.netloc}"
    return {"kind": "raster", "layers": [[value]], "hosts": [host], "maxzoom": 18, "attribution": ""}


def _datum(value: str) -> str:
    if value not in ("wgs84", "gcj02"):
        raise _Wrong(f"没有坐标系“{value}”", f"there is no datum “{value}”", "wgs84 或 gcj02", "wgs84 or gcj02")
    return value


def _default_data() -> str:
    if (ROOT / "pyproject.toml").exists():
        return str(ROOT / "var")
    if os.geteuid() == 0:
        return "/var/lib/gridloop/data"
    return os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "gridloop")


def _default_districts() -> str:
    beside = ROOT / "districts"
    return str(beside if beside.is_dir() else ROOT / "gridloop" / "shipped" / "districts")


_DEFAULTS: Mapping[str, Callable[[], str]] = {
    "GRIDLOOP_DATA": _default_data,
    "GRIDLOOP_DISTRICTS": _default_districts,
}
"""Defaults that depend on where the product lies."""

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "GRIDLOOP_DATA",
        _folder,
        "",
        Sentence(
            zh="数据目录：数据库、附件、密钥。默认：源码目录下的 var，否则用户数据目录",
            en="The data folder: database, evidence, keys. Default: var in the checkout, else the user's folder",
        ),
    ),
    Setting(
        "DATABASE_URL",
        _database_url,
        "",
        Sentence(
            zh="外部 PostgreSQL（15 或更新）的地址；不设则用内置的",
            en="An outside PostgreSQL (15 or newer); without it the embedded one is used",
        ),
    ),
    Setting(
        "GRIDLOOP_DISTRICTS",
        _folder,
        "",
        Sentence(
            zh="各区规定和地名所在的目录。默认：随程序发布的",
            en="The folder of the districts. Default: what is shipped",
        ),
    ),
    Setting(
        "GRIDLOOP_HOSTS",
        _hosts,
        "localhost,127.0.0.1,[::1]",
        Sentence(
            zh="网站对外的主机名或地址，逗号分隔，不允许 *",
            en="The names and addresses under which the site is reached, separated by commas; no *",
        ),
    ),
    Setting(
        "GRIDLOOP_HTTPS",
        _flag,
        "",
        Sentence(
            zh="只经 HTTPS 访问（安全 Cookie、HSTS）。默认：GRIDLOOP_HOSTS 只有本机时为 no，否则 yes",
            en="Reached by HTTPS only (secure cookies, HSTS). Default: no if all hosts are this machine, else yes",
        ),
    ),
    Setting(
        "GRIDLOOP_BEHIND_PROXY",
        _flag,
        "no",
        Sentence(zh="前面有会设置 X-Forwarded-Proto 的反向代理", en="A reverse proxy in front sets X-Forwarded-Proto"),
    ),
    Setting(
        "GRIDLOOP_SECRET_KEY",
        _secret,
        "",
        Sentence(
            zh="签名密钥；不设则在数据目录生成 secret.key（0600）",
            en="The signing key; without it secret.key (0600) is made in the data folder",
        ),
    ),
    Setting(
        "GRIDLOOP_DEBUG", _flag, "no", Sentence(zh="调试页面，绝不用于生产", en="Debug pages; never in production")
    ),
    Setting("GRIDLOOP_LOG_LEVEL", _level, "INFO", Sentence(zh="日志级别", en="The least level that is logged")),
    Setting("GRIDLOOP_ZONE", _zone, "Asia/Shanghai", Sentence(zh="本区的时区", en="The district's time zone")),
    Setting(
        "GRIDLOOP_SESSION_IDLE_SECONDS",
        _number(60, 86_400),
        "1800",
        Sentence(zh="会话静默多少秒后结束", en="Seconds of silence that end a session"),
    ),
    Setting(
        "GRIDLOOP_SESSION_SECONDS",
        _number(300, 604_800),
        "43200",
        Sentence(zh="会话最长多少秒", en="Seconds that a session may last"),
    ),
    Setting(
        "GRIDLOOP_MFA",
        _among("off", "offered", "required_for_admins", "required"),
        "offered",
        Sentence(
            zh="第二因素：off 不提供；offered 自愿；required_for_admins 三类管理员和能查看联系方式的人必须；"
            "required 所有人必须。已设置的人总会被要求出示",
            en="The second factor: off; offered; required_for_admins (the three administrators and whoever may reveal "
            "contacts); required (everybody). Who has set one up is always asked for it",
        ),
    ),
    Setting(
        "GRIDLOOP_OIDC_ISSUER",
        _address,
        "",
        Sentence(
            zh="统一身份认证（OpenID Connect）的签发地址；不设则没有这个登录方式",
            en="The issuer of an OpenID Connect provider; without it there is no such log-in",
        ),
    ),
    Setting(
        "GRIDLOOP_OIDC_CLIENT_ID",
        _text,
        "",
        Sentence(zh="本平台在该服务登记的客户端编号", en="The client id under which this platform is known there"),
    ),
    Setting(
        "GRIDLOOP_OIDC_CLIENT_SECRET",
        _text,
        "",
        Sentence(zh="客户端密钥", en="The client's secret"),
    ),
    Setting(
        "GRIDLOOP_OIDC_CLAIM",
        _text,
        "preferred_username",
        Sentence(
            zh="哪个声明是本平台的用户名；登录从不新建人员",
            en="Which claim is the user name here; nobody is ever made by logging in",
        ),
    ),
    Setting(
        "GRIDLOOP_OIDC_NAME",
        _text,
        "统一身份认证",
        Sentence(zh="登录页上按钮的名称", en="What the button on the log-in page is called"),
    ),
    Setting(
        "GRIDLOOP_OIDC_SECOND_FACTOR",
        _flag,
        "no",
        Sentence(
            zh="该服务自己要求第二因素，本平台不再要求",
            en="The provider asks for a second factor itself, so it is not asked for here",
        ),
    ),
    Setting(
        "GRIDLOOP_NOTICE_HOSTS",
        _destinations,
        "",
        Sentence(
            zh="通知可以发往的主机（主机 或 主机:端口，逗号分隔）；不设则不向外发送",
            en="The hosts to which notices may be sent (host or host:port, by commas); without it none leave",
        ),
    ),
    Setting(
        "GRIDLOOP_SITE",
        _address,
        "",
        Sentence(
            zh="本平台对外的地址，用于通知中的链接；不设则通知不带链接",
            en="The address of this platform, for links in notices; without it notices carry none",
        ),
    ),
    Setting(
        "GRIDLOOP_REVEALS_A_DAY",
        _number(0, 100_000),
        "60",
        Sentence(zh="一人一天可查看多少条联系方式", en="How many reporters' contacts one person may see on one day"),
    ),
    Setting(
        "GRIDLOOP_KEEP_CONTACT_DAYS",
        _number(1, 3_650),
        "365",
        Sentence(zh="结案后多少天删除联系方式", en="Days from closure until a reporter's contact is wiped"),
    ),
    Setting(
        "GRIDLOOP_BASEMAP",
        _basemap,
        "",
        Sentence(
            zh="底图：XYZ 或 WMTS 地址、tianditu:密钥，或 .pmtiles 文件；不设则画本区自己的街道",
            en="The base map: an XYZ or WMTS address, tianditu:key, or a .pmtiles file; else our own streets are drawn",
        ),
    ),
    Setting(
        "GRIDLOOP_BASEMAP_DATUM",
        _datum,
        "wgs84",
        Sentence(
            zh="底图的坐标系：wgs84（天地图也用它）或 gcj02；gcj02 底图会提示偏移",
            en="The datum of the base map: wgs84 (also for Tianditu) or gcj02, which the map warns about",
        ),
    ),
    Setting(
        "GRIDLOOP_PG_BIN",
        _text,
        "",
        Sentence(
            zh="PostgreSQL 程序所在的 bin 目录；不设则自动寻找",
            en="The bin folder of the PostgreSQL to run; found by itself otherwise",
        ),
    ),
    Setting(
        "GRIDLOOP_PG_ACCOUNT",
        _text,
        "nobody",
        Sentence(zh="以 root 启动时运行数据库的系统账户", en="The account that runs the database when root starts it"),
    ),
    Setting(
        "GRIDLOOP_ADMIN_PASSWORD",
        _text,
        "",
        Sentence(
            zh="首次启动时管理员的口令；不设则询问，或给出一次性设置码",
            en="The administrator's password at the first start; else you are asked, or given a one-time code",
        ),
    ),
)


def read(environment: Mapping[str, str]) -> dict[str, Any]:
    """Every setting's value by its name. Raises `WrongSettings` with all mistakes; an unknown GRIDLOOP_* is one."""
    mistakes: list[Mistake] = []
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        given = environment.get(setting.name, "").strip()
        if not given:
            given = _DEFAULTS[setting.name]() if setting.name in _DEFAULTS else setting.default
        try:
            values[setting.name] = setting.read(given)
        except _Wrong as wrong:
            mistakes.append(Mistake(setting.name, wrong.wrong, wrong.instead))
    known = {setting.name for setting in SETTINGS}
    for name in sorted(environment):
        if name.startswith("GRIDLOOP_") and name not in known:
            mistakes.append(
                Mistake(
                    name,
                    Sentence(zh="没有这个设置", en="there is no such setting"),
                    Sentence(zh="见 docs/reference/settings.md", en="see docs/reference/settings.md"),
                )
            )
    if not environment.get("GRIDLOOP_HTTPS", "").strip():
        values["GRIDLOOP_HTTPS"] = not set(values.get("GRIDLOOP_HOSTS", ())) <= {"localhost", "127.0.0.1", "[::1]"}
    if values.get("GRIDLOOP_HTTPS") and values.get("GRIDLOOP_BEHIND_PROXY") is False:
        mistakes.append(
            Mistake(
                "GRIDLOOP_BEHIND_PROXY",
                Sentence(
                    zh="对外主机名须经 HTTPS 访问，而 HTTPS 由前面的反向代理提供",
                    en="others reach this by HTTPS, and that is what a proxy in front provides",
                ),
                Sentence(
                    zh="yes（代理须设置 X-Forwarded-Proto）；封闭网络中不用 HTTPS 则设 GRIDLOOP_HTTPS=no",
                    en="yes (and let the proxy set X-Forwarded-Proto), or GRIDLOOP_HTTPS=no in a closed network",
                ),
            )
        )
    if values.get("GRIDLOOP_OIDC_ISSUER"):
        mistakes += [
            Mistake(
                name,
                Sentence(zh="设了 GRIDLOOP_OIDC_ISSUER 就必须设", en="is needed with GRIDLOOP_OIDC_ISSUER"),
                Sentence(zh="填写登记时得到的值", en="write what the provider gave you"),
            )
            for name in ("GRIDLOOP_OIDC_CLIENT_ID", "GRIDLOOP_OIDC_CLIENT_SECRET")
            if not values.get(name)
        ]
    if mistakes:
        raise WrongSettings(mistakes)
    return values


def provider(values: Mapping[str, Any]) -> dict[str, Any]:
    """allauth's words for the identity provider, if there is one."""
    if not values["GRIDLOOP_OIDC_ISSUER"]:
        return {}
    app = {
        "provider_id": "oidc",
        "name": values["GRIDLOOP_OIDC_NAME"],
        "client_id": values["GRIDLOOP_OIDC_CLIENT_ID"],
        "secret": values["GRIDLOOP_OIDC_CLIENT_SECRET"],
        "settings": {
            "server_url": values["GRIDLOOP_OIDC_ISSUER"],
            "oauth_pkce_enabled": True,
            "scope": ["openid", "profile"],
        },
    }
    return {"openid_connect": {"APPS": [app]}}


def database(url: str) -> dict[str, Any]:
    """Django's words for a `postgresql://` address. Query parameters other than host and user go to the driver."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or "") or query.pop("user", ""),
        "PASSWORD": unquote(parts.password or "") or query.pop("password", ""),
        "HOST": query.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": query.pop("port", "") or str(parts.port or ""),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            # A forgotten transaction must not hold locks for ever, nor a queue form behind one lock.
            "options": "-c idle_in_transaction_session_timeout=10min -c lock_timeout=30s -c timezone=UTC",
            "application_name": "gridloop",
            "connect_timeout": 10,
            **query,
        },
    }


def secret_key(data: Path) -> str:
    """The signing key of this deployment, from ``secret.key`` in the data folder; made at the first start."""
    file = data / "secret.key"
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        data.mkdir(parents=True, exist_ok=True)
        draft = data / f".secret.key.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as text:
            text.write(secrets.token_urlsafe(48))
            text.flush()
            os.fsync(text.fileno())
        try:
            os.link(draft, file)  # whoever links first decides; the others read the same key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return file.read_text().strip()
