"""What a monitor costs."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from gridloop.discover import queries
from tests import build

pytestmark = pytest.mark.django_db


def test_large_books_are_not_counted_again_for_every_question(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(queries, "_books", (-1.0, -1.0, {}))  # and afterwards as it was
    town = build.district()
    town.report()
    with django_assert_num_queries(2):  # small books are counted each time
        assert queries.recent_reconciliation()["accepted"] == 1
        assert queries.recent_reconciliation()["holds"]
    monkeypatch.setattr(queries, "QUICK", -1.0)
    monkeypatch.setattr(queries, "SHARE", 1_000_000)
    with django_assert_num_queries(1):
        books = queries.recent_reconciliation()
        assert all(queries.recent_reconciliation() == books for _ in range(5))
