"""Structured logs: one JSON object a line, and nothing in it that could name a person.

A log line is the *constant* text of the call plus its `extra` fields, ``log.info("received", extra={"count": 3})``.
Arguments that would be formatted into the text are left out, and of an exception only its class and its place are
written, because both could quote what a citizen wrote. Extra fields are numbers, truth values, or short plain words.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN = re.compile(r"[A-Za-z0-9_.:/<>{}@ -]{1,120}")
_LONG_NUMBER = re.compile(r"\d{7,}")
"""Telephone and identity numbers have at least seven digits in a row; our own words have none."""


class JsonLines(logging.Formatter):
    """The formatter behind every handler of the product."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _text(record.msg),
            "process": record.process,
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line and (plain := _plain(value)) is not None:
                line[name] = plain
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["where"] = [
                f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(record.exc_info[2])[-8:]
            ]
        return json.dumps(line, ensure_ascii=False)


class Lines(logging.StreamHandler[Any]):
    """Writes to standard error. A line that cannot be written is lost: the library's own cry would tell its content."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def _text(message: object) -> str:
    return _LONG_NUMBER.sub("…", message) if isinstance(message, str) else type(message).__name__


def _plain(value: object) -> object:
    """The value if it can be told without telling of a person; else None and the field is left out."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return _LONG_NUMBER.sub("…", value)
    if isinstance(value, list | tuple) and len(value) <= 50:
        return [_plain(item) for item in value]
    return None


def configuration(level: str = "INFO") -> dict[str, Any]:
    """Django's LOGGING: everything to standard error, as JSON lines."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {"lines": {"class": "gridloop.kernel.logs.Lines", "formatter": "json"}},
        "root": {"handlers": ["lines"], "level": "WARNING"},
        "loggers": {
            "gridloop": {"level": level},
            # Django's own handler would mail or print the request; ours says that, not what.
            "django": {"handlers": [], "level": "WARNING", "propagate": True},
            "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        },
    }
