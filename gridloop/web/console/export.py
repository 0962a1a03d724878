"""A list as a file for a spreadsheet."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_POST

from gridloop.cases import search
from gridloop.cases.actions import tell_of_export
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistake, Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.tables import csv_pieces, write_table
from gridloop.people.viewer import Viewer
from gridloop.web.shell.pages import staff
from gridloop.web.shell.tags import zone

MOST = 200_000
"""Cases in one file; more than that is the command line's (`gridloop export`)."""
KINDS = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


@require_POST
@staff("export")
def export(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The cases of the list as CSV, sent while it is read, or as XLSX. That it was done stays in the record."""
    now = clock.now()
    form = request.POST.get("form", "")
    if form not in KINDS:
        known = ", ".join(KINDS)
        raise Mistakes(
            [
                Mistake(
                    "form",
                    Sentence(zh="没有这种文件", en="there is no such file type"),
                    Sentence(zh=f"可用：{known}", en=f"use: {known}"),
                )
            ]
        )
    wanted = search.read_filter(request.POST.get("query", ""))
    (count,) = search.counts(viewer, [wanted], now=now, most=MOST)
    if count.more:
        raise Refused(
            Sentence(
                zh=f"超过 {MOST:,} 件，请先缩小范围。",
                en=f"More than {MOST:,} cases: narrow the list before you export.",
            ),
            status=422,
            code="too_many",
        )
    columns = (*search.EXPORTED, "text") if request.POST.get("text") == "yes" else search.EXPORTED
    tell_of_export(count=count.n, query=wanted.query(), text="text" in columns, viewer=viewer, at=now)
    rows = search.exported(search.chosen(viewer, wanted, now=now), columns)
    name = f"cases-{now.astimezone(zone()):%Y%m%d-%H%M}.{form}"
    response: StreamingHttpResponse | FileResponse
    if form == "csv":
        response = StreamingHttpResponse(csv_pieces(columns, rows), content_type=KINDS[form])
    else:
        response = FileResponse(_workbook(columns, rows), content_type=KINDS[form])
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _workbook(columns: tuple[str, ...], rows: Iterator[list[object]]) -> object:
    """A workbook on the disk, already without a name: it is gone when it was sent."""
    with tempfile.TemporaryDirectory(prefix="gridloop-export-") as folder:
        path = Path(folder) / "cases.xlsx"
        write_table(path, columns, rows)
        return os.fdopen(os.open(path, os.O_RDONLY), "rb")
