"""Words that want to be more than words: stored in every field that a person can write, shown on every page."""

from __future__ import annotations

import json

import pytest
from django.apps import apps
from django.db import connection, models, transaction

from gridloop.kernel.language import Sentence
from tests.build import browser
from tests.promises.test_pages import PEOPLE, ROWS, page_of
from tests.promises.world import World

NASTY = (
    "<script>window.owned=1</script>",
    '"><img src=x onerror=owned()>',
    "'-owned()-'",
    "{{7*7}}{% owned %}",
    "<svg/onload=owned()>",
    "</textarea></title><iframe srcdoc=owned>",
    "javascript:owned()",
)
WORDS = "owned0 " + " ".join(NASTY)
RAW = (
    "<script>window.owned",
    "<img src=x",
    "<svg/onload",
    "<iframe srcdoc",
    "onerror=owned()>",
    'href="javascript:owned',
)
"""What a page must never carry as it was written."""
WRITTEN = {
    # model -> fields that somebody writes freely; the record and everything sealed stay as they are
    "cases.Case": ("text", "address"),
    "cases.CoHandling": ("task",),
    "discover.Report": ("text", "title", "address"),
    "people.Unit": ("name", "name_en"),
    "people.Person": ("name",),
    "territory.Region": ("name", "name_en"),
}


def _poison() -> None:
    """Write the words into every field, past the application: whatever lets them in, the pages must hold."""
    for label, names in WRITTEN.items():
        model = apps.get_model(label)
        for name in names:
            field = model._meta.get_field(name)
            size = field.max_length if isinstance(field, models.CharField) else None
            for key in model._default_manager.values_list("pk", flat=True):
                model._default_manager.filter(pk=key).update(**{name: WORDS[: size or len(WORDS)]})
    both = json.dumps(Sentence(zh=WORDS, en=WORDS).both())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cases_case SET why = %s::jsonb", [both])
        cursor.execute("UPDATE people_notice SET sentence = %s::jsonb", [both])


@pytest.fixture
def poisoned(world: World) -> World:
    _poison()
    return world


@pytest.mark.parametrize("caller", ["intake_officer", "shift_lead", "grid_worker", "anonymous"])
def test_no_page_takes_written_words_for_its_own(poisoned: World, caller: str) -> None:
    shown, wrong = 0, []
    client = browser(PEOPLE.get(caller))
    for row in ROWS:
        if row.get("method", "GET") != "GET":
            continue
        with transaction.atomic():
            answer = client.get(page_of(row, poisoned.things))
            content = b"".join(answer) if answer.streaming else answer.content
            transaction.set_rollback(True)
        if not answer.headers.get("Content-Type", "").startswith("text/html"):
            continue
        page = content.decode()
        shown += "owned0" in page
        wrong += [f"{row['url']}: {raw}" for raw in RAW if raw in page]
    assert not wrong, "\n".join(wrong)
    assert shown or caller == "anonymous", "nothing of what was written was shown: the test sees nothing"
