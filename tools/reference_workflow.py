"""The page of the workflow, written from its table, its guards and the roles."""

from __future__ import annotations

from collections.abc import Iterable


def workflow(made: str) -> str:
    """States with their clocks, the diagram, and every row of the table with who may use it."""
    from gridloop.cases.rules import GUARDS
    from gridloop.cases.workflow import ENDS, STAGES, STATES, STEPS
    from gridloop.people.roles import ROLES

    clocks = {state: f"`{stage}`" for state, stage in STAGES.items()} | dict.fromkeys(ENDS, "an end")
    states = [
        f"| `{key}` | {name.zh} | {name.en} | {clocks.get(key, 'stands still')} |" for key, name in STATES.items()
    ]
    arrows = sorted(
        {(origin, s.to, s.verb) for s in STEPS for origin in s.origins if s.to and s.verb not in EVERYWHERE}
    )
    together: dict[tuple[str, str], list[str]] = {}
    for origin, to, verb in arrows:
        together.setdefault((origin, to), []).append(verb)
    diagram = [f"    {origin} --> {to}: {', '.join(verbs)}" for (origin, to), verbs in together.items()]
    rows = []
    for step in STEPS:
        may = [key for key, role in ROLES.items() if step.permission in role.may]
        verb = f"`{step.verb}`" + (f" `{step.outcome}`" if step.outcome else "")
        to = f"`{step.to}`" if step.to else "stays"
        who = f"`{step.permission}`: {', '.join(may) or 'nobody by a post'}"
        event = f"`{step.event.__name__}`"
        cells = (verb, step.name.zh, _codes(_from(step.origins)), to, who, _codes(step.guards), event)
        rows.append(f"| {' | '.join(cells)} |")
    guards = [f"| `{name}` | {_meaning(guard.__doc__)} |" for name, guard in GUARDS.items()]
    return "\n".join(
        [
            "# The workflow of a case",
            "",
            made,
            "",
            "One table, `gridloop/cases/workflow.py`, says who may move a case from where to where. A move that is not",
            "in it is refused with a sentence that tells what is allowed. Why: [the loop](../explanation/the-loop.md).",
            "",
            "## States",
            "",
            "| state | 名称 | meaning | clock of the stage |",
            "|---|---|---|---|",
            *states,
            "",
            "## Diagram",
            "",
            "`force_close` and `cancel` lead from every open state to their ends; they are left out here.",
            "",
            "```mermaid",
            "stateDiagram-v2",
            "    [*] --> reported",
            "    [*] --> pending_verify: triage is sure, the kind is verified first",
            "    [*] --> pending_filing: triage is sure",
            "    [*] --> pending_dispatch: triage is sure, the kind is filed by itself",
            *diagram,
            "```",
            "",
            "## Moves",
            "",
            "| verb | 名称 | from | to | permission: roles | guards | event |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            "## Guards",
            "",
            "What a row cannot say. Each refuses with a sentence of its own; its name is the `code` of the refusal.",
            "",
            "| guard | asks that |",
            "|---|---|",
            *guards,
            "",
        ]
    )


EVERYWHERE = frozenset({"force_close", "cancel"})


def _from(origins: tuple[str, ...]) -> Iterable[str]:
    from gridloop.cases.workflow import OPEN

    return ("every open state",) if origins == OPEN else origins


def _codes(names: Iterable[str]) -> str:
    return ", ".join(name if " " in name else f"`{name}`" for name in names) or "-"


def _meaning(doc: str | None) -> str:
    return (doc or "").strip().rstrip(".")
