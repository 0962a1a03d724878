"""`gridloop replay`: a recorded stream of service requests through the loop, with its own clock."""

from __future__ import annotations

from pathlib import Path

import click

from gridloop.cli import ground, show
from gridloop.cli.speaking import option
from gridloop.cli.words import say
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence


@click.command(
    help=say(
        "按记录的时间回放服务请求（城市、类型、时间、截止、部门），在空的数据目录里结成有评分的案件。",
        "Play recorded service requests with their own clock into an empty data folder, up to closed and scored cases.",
    )
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@option("--every", default=1, show_default=True, type=click.IntRange(1), zh="每几条取一条。", en="Take one in so many.")
def replay(file: Path, every: int) -> None:
    with ground.database():
        from gridloop.evaluate.queries import rates
        from gridloop.gateways import replay as player
        from gridloop.people.models import Person, Unit
        from gridloop.people.viewer import SYSTEM
        from gridloop.standard import queries as standard
        from gridloop.standard.actions import activate_packs

        if Person.objects.exists():
            raise Refused(
                Sentence(
                    zh="回放只在空的数据目录里进行。请用 GRIDLOOP_DATA 指定一个新目录。",
                    en="A replay needs an empty data folder: name a new one with GRIDLOOP_DATA.",
                )
            )
        district, packs = ground.shipped("districts") / "us311", [ground.shipped("packs") / "city311"]
        activate_packs(folders=packs, district=district, actor=SYSTEM.actor)
        recording, summary = player.read_recording(file, district / "mappings")
        recording = recording[::every]
        player.prepare(recording, district=district, packs=packs)
        with show.progress(say("回放", "Replay"), len(recording)) as advance:
            steps = show.Steps(advance)
            player.replay(recording, summary, progress=lambda done, _: steps.at(done))
        found = rates([standard.current().indicators["on_time_rate"]], by="unit", viewer=SYSTEM)
        names = dict(Unit.objects.values_list("id", "name"))
    show.summary(
        say("回放", "Replay"),
        {
            say("请求", "requests"): len(recording),
            say("由人工甄别", "settled by a person"): summary.settled,
            say("处置反馈", "handed back"): summary.moves["hand_back"],
            say("结案", "closed"): summary.moves["close"],
            say("作废", "cancelled"): summary.moves["cancel"],
            say("记录为先结后报", "recorded as closed before they were made"): summary.closed_before,
        },
    )
    show.summary(
        say("按期处置率", "Handled on time"),
        {
            names[int(unit)]: f"{row['on_time_rate']}  ({row['on_time_rate'].count} / {row['on_time_rate'].out_of})"
            for unit, row in found.items()
        },
    )
