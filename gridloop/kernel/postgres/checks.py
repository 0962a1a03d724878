"""What a server must promise before we entrust it with a report. Asked of every server at every start."""

from __future__ import annotations

import psycopg

from gridloop.kernel.errors import Mistake
from gridloop.kernel.language import Sentence

OLDEST = 150000
SAFE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}
"""Without each of these a power cut or a killed server loses what we have already acknowledged."""


def unsafe_setting(name: str, value: str, place: str) -> Mistake | None:
    """The mistake of running with `name` switched off, or None. `local`, `remote_write`, `remote_apply` flush too."""
    if value != "off":
        return None
    return Mistake(
        place=place,
        wrong=Sentence(
            zh=f"{name}=off：断电或进程被杀时会丢失已确认的数据，拒绝运行",
            en=f"{name}=off loses acknowledged data when the power or the server dies: refusing to run",
        ),
        instead=Sentence(
            zh=f"{name} = on（检查 postgresql.conf、postgresql.auto.conf 和 ALTER SYSTEM / ROLE / DATABASE）",
            en=f"{name} = on (look in postgresql.conf, postgresql.auto.conf and for ALTER SYSTEM / ROLE / DATABASE)",
        ),
    )


def check_server(url: str) -> list[Mistake]:
    """All the reasons not to run on the database at `url`; creates the extension pg_trgm there if it is missing.

    Raises `psycopg.OperationalError` when the server cannot be reached.
    """
    mistakes: list[Mistake] = []
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        if connection.info.server_version < OLDEST:
            mistakes.append(
                Mistake(
                    "PostgreSQL",
                    Sentence(
                        zh=f"版本 {connection.info.server_version // 10000} 太旧",
                        en=f"version {connection.info.server_version // 10000} is too old",
                    ),
                    Sentence(zh="15 或更新", en="15 or newer"),
                )
            )
        for name in SAFE:
            mistake = unsafe_setting(name, _one(connection, "SELECT current_setting(%s)", name), "PostgreSQL")
            if mistake:
                mistakes.append(mistake)
        encoding = _one(connection, "SELECT current_setting(%s)", "server_encoding")
        if encoding != "UTF8":
            mistakes.append(
                Mistake(
                    "PostgreSQL",
                    Sentence(zh=f"数据库编码是 {encoding}", en=f"the database is encoded in {encoding}"),
                    Sentence(
                        zh="CREATE DATABASE … ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0",
                        en="CREATE DATABASE … ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0",
                    ),
                )
            )
        mistakes += _trigrams(connection)
    return mistakes


def _trigrams(connection: psycopg.Connection) -> list[Mistake]:
    """Under the locale C, pg_trgm silently finds no trigram in Chinese, and every search comes back empty."""
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        if _one(connection, "SELECT cardinality(show_trgm(%s))::text", "金水区") != "0":
            return []
    except psycopg.Error as error:
        return [
            Mistake(
                "PostgreSQL",
                Sentence(zh=f"扩展 pg_trgm 不可用：{error}", en=f"the extension pg_trgm cannot be used: {error}"),
                Sentence(
                    zh="请数据库管理员执行 CREATE EXTENSION pg_trgm",
                    en="let the database's administrator run CREATE EXTENSION pg_trgm",
                ),
            )
        ]
    return [
        Mistake(
            "PostgreSQL",
            Sentence(zh="区域设置 C 不认识汉字", en="the database's locale knows no Chinese (locale C)"),
            Sentence(
                zh="用 LOCALE 'C.UTF-8' 重建数据库（TEMPLATE template0）",
                en="make the database again with LOCALE 'C.UTF-8' TEMPLATE template0",
            ),
        )
    ]


def _one(connection: psycopg.Connection, query: str, value: str) -> str:
    row = connection.execute(query.encode(), (value,)).fetchone()
    assert row is not None
    return str(row[0])
