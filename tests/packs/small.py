"""The smallest pack that holds, for tests to break."""

from __future__ import annotations

SMALL: dict[str, str] = {
    "pack.yaml": """\
format: 1
name: small
version: 1.0.0
title: { zh: 小包, en: Small }
about: { zh: 测试用, en: For tests }
catalogue: new
catalogues:
  - { id: new, title: { zh: 新, en: New }, source: ours }
  - { id: old, title: { zh: 旧, en: Old }, source: ours }
trades:
  water: { zh: 水, en: Water }
  road: { zh: 路, en: Road }
functions:
  water: { zh: 水务, en: Water office }
  street_office: { zh: 街道, en: Street office }
""",
    "discover.yaml": """\
urgent: [E0101]
filing:
  default: { automatic: false, confidence: 0.9, verify_public_reports: true }
  rules:
    - { when: { urgent: true }, automatic: true, confidence: 0.8, verify_public_reports: false }
duplicates:
  default: { meters: 50, hours: 24, text_similarity: 0.2 }
""",
    "dispatch.yaml": """\
stage_limits:
  default:
    accept: { amount: 1, clock: work_hour }
    verify: { amount: 24, clock: urgent_hour }
    file: { amount: 1, clock: work_hour }
    dispatch: { amount: 1, clock: work_hour }
    sign: { amount: 2, clock: work_hour }
    check: { amount: 2, clock: work_hour }
    close: { amount: 1, clock: work_day }
  rules:
    - { when: { urgent: true }, stage: sign, limit: { amount: 0.5, clock: urgent_hour } }
routes:
  - id: market
    when: { case_type: C0101, region: "410104007" }
    unit: { function: street_office, at: street }
    why: { zh: 商圈, en: Market quarter }
  - id: grid
    when: { trade: road, level: [grid, community] }
    unit: { function: street_office, at: street }
    person: { role: grid_leader, within: grid }
    why: { zh: "“{type}”网格能办", en: "“{type}” is for the grid" }
  - id: water
    when: { trade: [water, road] }
    unit: { function: water }
    escalate_to: { function: street_office, at: street }
    why: { zh: "“{type}”归水务", en: "“{type}” is for the water office" }
""",
    "handle.yaml": """\
evidence:
  default: { before: 1, after: 1 }
  rules:
    - { when: { kind: component }, before: 0, after: 2 }
self_handle: { trade: road }
forms:
  - { when: { case_type: E0101 }, form: leak }
""",
    "feedback.yaml": """\
questions:
  - id: resolved
    text: { zh: 解决了吗, en: Solved? }
    counts: resolved
    answers:
      - { id: solved, text: { zh: 是, en: "Yes" }, good: true }
      - { id: unsolved, text: { zh: 否, en: "No" }, reopens: true }
ask_within: { amount: 1, clock: work_day }
answer_within: { amount: 7, clock: natural_day }
reopen_times: 1
""",
    "evaluate.yaml": """\
small_sample: 3
indicators:
  - id: close_rate
    name: { zh: 结案率, en: Closing rate }
    count: { closed: true }
    out_of: { filed: true }
    better: higher
    provenance: ours
schemes:
  - id: only
    name: { zh: 唯一, en: Only }
    provenance: ours
    terms:
      - { indicator: close_rate, weight: 100 }
""",
    "forms/leak.json": """\
{
  "type": "object",
  "properties": { "litres": { "type": "number" } }
}
""",
    "tables/majors.csv": """\
catalogue,code,zh,en
new,E01,事件,Events
new,C01,部件,Components
old,E05,旧事件,Old events
""",
    "tables/case_types.csv": """\
catalogue,code,zh,en,trade,provenance
new,E0101,漏水,Leak,water,gridloop
new,C0101,井盖,Cover,road,gridloop
old,E0501,跑水,Burst,water,gridloop
old,E0502,消失,Gone,water,gridloop
""",
    "tables/conditions.csv": """\
code,id,usual,amount,clock,when_zh,when_en,closes_zh,closes_en
E0101,1,yes,2,urgent_hour,漏水,Leaking,止水,Stopped
E0101,2,,1,work_day,滴水,Dripping,修好,Repaired
C0101,1,yes,4,work_hour,缺失,Missing,恢复,Back
""",
    "tables/words.csv": """\
code,words
E0101,漏水;跑水
C0101,井盖；盖子
""",
    "tables/successors.csv": """\
catalogue,code,successor
old,E0501,E0101
old,E0502,
""",
    "tables/aliases.csv": """\
source,name,code
town,Water*,E0101
town,Water cover,C0101
""",
    "tests/all.yaml": """\
given: { region: "410104001", start: "2022-09-30T16:00:00+08:00" }
scenarios:
  - name: a leak
    given: { case_type: E0101 }
    expect:
      route: water
      unit: water
      at: district
      person: nobody
      escalate_to: street_office
      urgent: true
      automatic: true
      verify: false
      form: leak
      evidence: [1, 1]
      self_handle: false
      meters: 50
      stages: { sign: "2022-09-30T16:30:00+08:00" }
  - name: a cover in the market
    given: { case_type: C0101, region: "410104007001" }
    expect: { route: market, automatic: false, evidence: [0, 2], self_handle: true, form: nothing }
  - name: a cover that the grid sees
    given: { case_type: C0101, level: grid }
    expect:
      route: grid
      person: grid_leader
      stages:
        accept: "2022-09-30T17:00:00+08:00"
        verify: "2022-10-01T16:00:00+08:00"
        file: "2022-09-30T17:00:00+08:00"
        dispatch: "2022-09-30T17:00:00+08:00"
        sign: "2022-09-30T18:00:00+08:00"
        check: "2022-09-30T18:00:00+08:00"
        close: "2022-10-08T18:00:00+08:00"
tables:
  - name: limits
    columns: [case_type, condition, deadline]
    rows:
      - [E0101, "1", "2022-09-30T18:00:00+08:00"]
      - [E0101, "2", "2022-10-08T18:00:00+08:00"]
      - [C0101, "1", "2022-10-08T10:00:00+08:00"]
answers:
  - { question: resolved, answer: solved, reopens: false }
  - { question: resolved, answer: unsolved, reopens: true }
indicators:
  - { indicator: close_rate, cases: [[filed, closed], [filed]], rate: 1/2 }
aliases:
  - { source: town, name: water everywhere, case_type: E0101 }
  - { source: town, name: WATER COVER, case_type: C0101 }
""",
    "README.md": "# small\n",
}

DISTRICT: dict[str, str] = {
    "district.yaml": """\
format: 1
code: "410104"
name: { zh: 管城回族区, en: Guancheng }
version: 1.0.0
packs: [small]
calendar: { days: china, hours: [["08:00", "12:00"], ["13:30", "17:30"]], closed: [2022-10-08] }
limits:
  - { case_type: "small:E0101", condition: "2", limit: { amount: 2, clock: work_day } }
stage_limits:
  - { pack: small, when: { urgent: true }, stage: sign, limit: { amount: 0.25, clock: urgent_hour } }
routes:
  - id: own
    pack: small
    when: { trade: water, region: "410104001" }
    unit: { function: water, code: U-WATER }
    why: { zh: 本区规定, en: Our own rule }
""",
    "units.csv": """\
code,zh,en,kind,function,parent,region_code,synthetic
U-WATER,水务所,Water office,department,water,,,yes
U-STREET,街道办,Street office,street,street_office,U-WATER,410104001,yes
""",
}


def files(of: dict[str, str] | None = None, changed: dict[str, str | None] | None = None) -> dict[str, bytes]:
    """The pack's files as bytes; in `changed`, None leaves a file out."""
    whole: dict[str, str | None] = {**(SMALL if of is None else of), **(changed or {})}
    return {name: text.encode() for name, text in whole.items() if text is not None}
