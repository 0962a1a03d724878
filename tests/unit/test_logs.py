"""A log line is one JSON object, and it cannot name a person."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from gridloop.kernel.logs import JsonLines, Lines


def line(message: str, *args: object, **extra: object) -> dict[str, Any]:
    record = logging.getLogger("gridloop.test").makeRecord(
        "gridloop.test", logging.INFO, __file__, 1, message, args, None, extra=extra
    )
    text = JsonLines().format(record)
    assert "\n" not in text
    answer: dict[str, Any] = json.loads(text)
    return answer


def test_an_event_and_its_plain_fields_are_told() -> None:
    told = line("reports received", count=3, reaction="discover.triage", late=False)
    assert (told["event"], told["level"], told["count"], told["reaction"], told["late"]) == (
        "reports received", "info", 3, "discover.triage", False,
    )  # fmt: skip
    assert told["at"].endswith("+00:00")


def test_arguments_texts_and_long_numbers_are_not_told() -> None:
    told = json.dumps(
        line(
            "caller %s", "张三", text="张三的电话", phone="13800001111", who={"name": "张三"}, note="call 13800001111"
        ),
        ensure_ascii=False,
    )
    assert "张三" not in told
    assert "13800001111" not in told


def test_of_an_error_only_its_kind_and_place_are_told() -> None:
    try:
        raise ValueError("张三 13800001111")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, __file__, 1, "failed", (), (ValueError, error, error.__traceback__)
        )
    told = json.loads(JsonLines().format(record))
    assert told["error"] == "ValueError"
    assert "test_logs.py" in told["where"][0]
    assert "13800001111" not in json.dumps(told)


def test_a_line_that_cannot_be_written_is_not_told_another_way(capsys: pytest.CaptureFixture[str]) -> None:
    broken = io.StringIO()
    broken.close()
    logger = logging.Logger("broken")
    logger.addHandler(Lines(broken))
    try:
        raise ValueError("13812345678")
    except ValueError:
        logger.exception("failed")
    assert "13812345678" not in capsys.readouterr().err
