"""`gridloop discover`: learn from answered reports, and measure what was learnt."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gridloop.cli import ground, show
from gridloop.cli.speaking import Group, option
from gridloop.cli.words import say, told
from gridloop.kernel.errors import Mistake, Mistakes, Refused
from gridloop.kernel.language import Sentence

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(cls=Group, help=say("分类模型：训练、评估。", "The classifier: train it, measure it."))
def discover() -> None:
    pass


_TEXT = option(
    "--text", "texts", multiple=True, zh="文字所在的列，可多次（合并）。", en="A column with text; several are joined."
)
_LABEL = option("--label", default="", zh="类别所在的列。", en="The column with the kind.")
_GROUP = option(
    "--group",
    default="",
    zh="近似重复的分组列；不给则自动判断。",
    en="The column that groups near-duplicates; found otherwise.",
)


def _with_examples(command: Callable[..., None]) -> Callable[..., None]:
    """The argument and the options that say where examples are."""
    for add in (_GROUP, _LABEL, _TEXT, click.argument("file", type=FILE, required=False)):
        command = add(command)
    return command


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts with their kinds, and for each the group of near-duplicates it belongs to (None: no groups)."""

    texts: list[str]
    labels: list[str]
    groups: list[str] | None


def _read(file: Path, texts: Sequence[str], label: str, group: str) -> Examples:
    """The examples in a table; rows without a text or a kind are left out."""
    from gridloop.kernel.tables import open_table

    if not texts or not label:
        raise click.UsageError(say("请用 --text 和 --label 写明列名。", "Name the columns with --text and --label."))
    found = Examples([], [], [] if group else None)
    with open_table(file) as table:
        if missing := [c for c in (*texts, label, group) if c and c not in table.columns]:
            raise Mistakes(
                [
                    Mistake(
                        f"{file.name}: {column}",
                        Sentence(zh="没有这一列", en="there is no such column"),
                        Sentence(zh="、".join(table.columns), en=", ".join(table.columns)),
                    )
                    for column in missing
                ]
            )
        for row in table.rows:
            text = "\n".join(row.cells[c] for c in texts if row.cells.get(c)).strip()
            kind = row.cells.get(label, "").strip()
            if text and kind:
                found.texts.append(text)
                found.labels.append(kind)
                if found.groups is not None:
                    found.groups.append(row.cells.get(group) or f"row {row.number}")
    return found


def _examples(file: Path | None, texts: Sequence[str], label: str, group: str) -> Examples:
    return _read(file, texts, label, group) if file else _answered()


def _answered() -> Examples:
    """What the district's own people answered on the triage list."""
    from gridloop.discover.models import Lesson

    lessons = Lesson.objects.order_by("id").values_list("report__text", "case_type")
    return Examples([text for text, _ in lessons], [kind for _, kind in lessons], None)


@discover.command(
    help=say(
        "用带类别的表（或本区分拣时的回答）训练模型。类别须是本区的案件类型，否则用 --out 另存。",
        "Train from a table, or from the district's own answers. Its kinds are case types here, or use --out.",
    )
)
@_with_examples
@option("--out", type=FILE, zh="模型写入此文件，不在本区启用。", en="Write the model here and do not put it to use.")
def train(out: Path | None, **table: Any) -> None:
    with ground.database():
        from gridloop.discover.imports import type_alias
        from gridloop.discover.queries import model_path
        from gridloop.discover.rules import assess

        examples = _examples(**table)
        labels = examples.labels
        if out is None:
            alias = type_alias()
            labels = [alias("", name) or "" for name in examples.labels]
            unknown = sorted({name for name, own in zip(examples.labels, labels, strict=True) if not own})
            if unknown:
                raise Refused(
                    Sentence(
                        zh=f"这些类别不是本区的案件类型：{'、'.join(unknown[:10])}。请用 --out 另存模型。",
                        en=f"These kinds are no case types here: {', '.join(unknown[:10])}. Use --out to keep the "
                        "model elsewhere.",
                    )
                )
        began = time.monotonic()
        with _enough_examples():
            classifier = assess.train(examples.texts, labels, examples.groups)
        target = out or model_path()
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{os.getpid()}.npz")
        classifier.save(draft)
        draft.rename(target)
    show.summary(
        say(f"模型已写入 {target}", f"The model is in {target}"),
        {
            say("例子", "examples"): len(labels),
            say("类别", "kinds"): len(set(labels)),
            say("秒", "seconds"): round(time.monotonic() - began, 1),
        },
    )


@discover.command(
    help=say(
        "评估：交叉验证（近似重复不跨折）；给出 --model 则评估该模型。",
        "Measure by cross-validation that never splits a group of near-duplicates, or measure the model of --model.",
    )
)
@_with_examples
@option("--model", type=FILE, zh="已有的模型。", en="A model that exists.")
@option("--folds", default=5, show_default=True, type=click.IntRange(2, 20), zh="折数。", en="How many folds.")
def evaluate(model: Path | None, folds: int, **table: Any) -> None:
    with ground.database():
        examples = _examples(**table)
    from gridloop.discover.rules import assess
    from gridloop.discover.rules.classify import Classifier

    began = time.monotonic()
    with _enough_examples():
        if model:
            found = assess.judge(Classifier.load(model), examples.texts, examples.labels)
        else:
            found = assess.evaluate(examples.texts, examples.labels, examples.groups, number=folds)
    click.echo(told(found.report()))
    took = time.monotonic() - began
    click.echo(say(f"{len(examples.texts)} 条，{took:.1f} 秒", f"{len(examples.texts)} examples, {took:.1f} s"))


@contextmanager
def _enough_examples() -> Iterator[None]:
    from gridloop.discover.rules.classify import TooFewExamples

    try:
        yield
    except TooFewExamples:
        raise Refused(
            Sentence(
                zh="例子太少：至少需要两个类别，每类两个例子。",
                en="Too few examples: at least two kinds with two examples each are needed.",
            )
        ) from None
