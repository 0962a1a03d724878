"""Photographs of a case: taken in as they come, shown as re-encoded copies."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status

from gridloop.cases.queries import case_of
from gridloop.gateways.api.doors import viewer_of
from gridloop.gateways.api.paging import Page
from gridloop.handle.actions import add_evidence
from gridloop.handle.queries import evidence_for, picture_headers, served_file
from gridloop.handle.rules import MAX_BYTES
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence

router = Router(tags=["evidence"])
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/jpeg", "image/png", "image/webp")
        },
    }
}


class EvidenceOut(Schema):
    """A photograph. `sha256` is that of the bytes at receipt; `ready` = the copy that people see is made."""

    id: int
    stage: str
    sha256: str
    media_type: str
    size: int
    by: str
    at: datetime
    ready: bool

    @staticmethod
    def resolve_ready(row: Any) -> bool:
        return bool(row.served)


@router.post("/cases/{number}/evidence", response={201: EvidenceOut}, summary="Add a photograph", openapi_extra=_BODY)
def add(
    request: HttpRequest, number: str, stage: Literal["report", "verify", "before", "after", "check"]
) -> Status[Any]:
    """The body is the picture itself (JPEG, PNG or WebP, at most 20 MB). The same bytes sent twice are kept once.

    请求体就是照片（JPEG、PNG、WebP，最大 20 MB）；同样的内容重复上传只存一份。
    """
    viewer = viewer_of(request)
    case = case_of(viewer, number)
    viewer.need("evidence")
    if int(request.headers.get("Content-Length") or 0) > MAX_BYTES:
        raise Refused(
            Sentence(zh="文件超过20MB，请缩小后再传。", en="The file is larger than 20 MB: send a smaller one."),
            status=413,
            code="too_large",
        )
    content = request.read(MAX_BYTES + 1)
    return Status(201, add_evidence(case_id=case.pk, stage=stage, content=content, viewer=viewer))


@router.get("/cases/{number}/evidence", response=Page[EvidenceOut], summary="The photographs of a case")
def of_case(request: HttpRequest, number: str) -> dict[str, Any]:
    """Oldest first.

    案件的照片列表，最早的在前。
    """
    viewer = viewer_of(request)
    case = case_of(viewer, number)
    return {"items": list(evidence_for(viewer).filter(case_id=case.pk).order_by("id"))}


@router.get(
    "/evidence/{evidence_id}",
    response={200: Any},
    summary="Download a photograph",
    openapi_extra={"responses": {200: {"content": {"image/jpeg": {}}}}},
)
def download(request: HttpRequest, evidence_id: int) -> HttpResponse:
    """The re-encoded copy without hidden data. The original stays in the house.

    下载重新编码、去除隐藏信息的副本；原件不外传。
    """
    copy = served_file(viewer_of(request), evidence_id)
    response = HttpResponse(copy.read_bytes(), headers=picture_headers(copy, str(evidence_id)))
    response["Content-Disposition"] = f'attachment; filename="{evidence_id}.jpg"'
    response["Cache-Control"] = "private, no-store"
    return response
