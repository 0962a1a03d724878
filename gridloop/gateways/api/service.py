"""The API as a whole: its description, its errors, its routers."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.operation import PathView

from gridloop.gateways.api import (
    access,
    audit,
    cases,
    district,
    errors,
    evaluation,
    evidence,
    operations,
    people,
    reports,
)
from gridloop.gateways.api.doors import Door
from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence

DESCRIPTION = """\
Everything that can be done and seen in Gridloop, for programs.

- Send `Authorization: Bearer <token>`, or a session cookie with `X-CSRFToken`.
- Bodies are JSON in UTF-8; a field that is not described here is a mistake. Times are RFC 3339 with an offset.
- Every refusal is `application/problem+json` (RFC 9457) with a stable `code`, a sentence in Chinese and English and,
  for bad input, all `mistakes` at once, each with its place and what to write instead.
- What is absent and what is not yours get the same answer, 404.
- Lists come in pages: hand `next` back as `cursor`.
- A verb names the `version` of the case that you have seen (in the body, or as `If-Match`); if somebody was faster you
  get 412.

本平台的全部操作和列表，供程序调用。

- 用 `Authorization: Bearer <令牌>` 认证，或用会话 Cookie 加 `X-CSRFToken`。
- 内容为 UTF-8 的 JSON，未说明的字段视为错误；时间带时区。
- 每次拒绝都是 `application/problem+json`，带固定的 `code` 和中英文说明；
  输入有误时一次列出全部错误、位置和改法。
- 不存在与无权查看的回答相同（404）。
- 列表分页：把 `next` 作为 `cursor` 传回。
- 办理案件要写明所见的 `version`（或 `If-Match`），被别人抢先时返回 412。
"""


_SENTENCE = {"type": "object", "properties": {"zh": {"type": "string"}, "en": {"type": "string"}}}
PROBLEM = {
    "title": "Problem",
    "description": "RFC 9457 problem details. 拒绝说明。",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "A stable word for programs. 供程序判断的固定代码。"},
        "detail": _SENTENCE,
        "mistakes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"place": {"type": "string"}, "wrong": _SENTENCE, "instead": _SENTENCE},
            },
        },
    },
}


class Service(NinjaAPI):
    """Django Ninja's API, which also refuses query parameters that nobody described."""

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        match = request.resolver_match
        known = self._parameters.get((match.url_name or "") if match else "", {}).get(request.method or "", set())
        unknown = [name for name in request.GET if name not in known]
        if unknown:
            raise Mistakes([_unknown(name, sorted(known)) for name in unknown])
        return super().create_temporal_response(request)

    def get_openapi_schema(self, **options: Any) -> Any:
        """Ninja's description, with the schemas of what is read by hand and the form of every refusal."""
        schema = super().get_openapi_schema(**options)
        components = schema["components"]["schemas"]
        own = reports.ReportIn.model_json_schema(ref_template="#/components/schemas/{model}")
        components |= own.pop("$defs") | {"ReportIn": own, "Problem": PROBLEM}
        refusal = {
            "description": "Refused 拒绝",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for methods in schema["paths"].values():
            for operation in methods.values():
                operation["responses"]["default"] = refusal
        return schema

    @cached_property
    def _parameters(self) -> dict[str, dict[str, set[str]]]:
        """URL name -> method -> the names of its query parameters."""
        found: dict[str, dict[str, set[str]]] = {}
        for _, router in self._routers:
            for view in router.path_operations.values():
                found[self._name_of(view)] = {
                    method: set(_query_names(operation))
                    for operation in view.operations
                    for method in operation.methods
                }
        return found

    def _name_of(self, view: PathView) -> str:
        return view.url_name or self.get_operation_url_name(view.operations[0], router=None)  # type: ignore[arg-type]


def _query_names(operation: Any) -> list[str]:
    names: list[str] = []
    for model in operation.models:
        if getattr(model, "__ninja_param_source__", "") == "query":
            names += model.__ninja_flatten_map__
    return names


def _unknown(name: str, known: list[str]) -> Mistake:
    return Mistake(
        name[:40],
        Sentence(zh="不认识的参数", en="is not known"),
        Sentence(zh=f"可用：{'、'.join(known) or '无'}", en=f"known: {', '.join(known) or 'none'}"),
    )


api = Service(
    title="Gridloop",
    version="1",
    description=DESCRIPTION,
    auth=Door(),
    docs_url=None,
    openapi_url=None,
    urls_namespace="api-1",
)
for _kind in (Exception, Http404, HttpError, ValidationError):  # the framework has handlers of its own for these
    api.add_exception_handler(_kind, errors.answer)
for _router in (access, reports, cases, evidence, evaluation, district, people, audit, operations):
    api.add_router("", _router.router)


@api.get("/openapi.json", url_name="openapi", tags=["description"], summary="This description", include_in_schema=False)
def openapi(request: HttpRequest) -> dict[str, Any]:
    """The description of this interface (OpenAPI 3.1)."""
    schema: dict[str, Any] = api.get_openapi_schema(path_prefix="/api/v1/")
    return schema
