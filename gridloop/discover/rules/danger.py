"""Words of danger, and whom to call at once. A report is a letter; who is in danger needs a telephone.

The words are everyday ones and are looked for as they stand: a false alarm costs its reader one line, a missed one may
cost a life. Nothing here ever stops a report. The national numbers are those that everybody in China may call; the
district adds its own lines (`standard.Line`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gridloop.kernel.language import Sentence


@dataclass(frozen=True, slots=True)
class Danger:
    """A kind of danger: the words by which it is told, what to do, and the numbers to call, most urgent first."""

    kind: str
    words: tuple[str, ...]
    do: Sentence
    call: tuple[str, ...]


NAMES: Mapping[str, Sentence] = {
    "110": Sentence(zh="公安报警", en="police"),
    "119": Sentence(zh="火警和救援", en="fire and rescue"),
    "120": Sentence(zh="医疗急救", en="ambulance"),
    "122": Sentence(zh="交通事故", en="traffic accidents"),
    "12345": Sentence(zh="政务服务热线", en="the city's hotline"),
}
"""The national numbers."""


def _words(zh: str, en: str) -> tuple[str, ...]:
    return (*zh.split(), *en.split("; "))


DANGERS: tuple[Danger, ...] = (
    Danger(
        "fire",
        _words(
            "着火 起火 失火 火灾 冒烟 明火 燃烧 烧起来 爆炸",
            "on fire; burning; smoke; flames; explosion; exploded",
        ),
        Sentence(zh="先离开，再打电话，不要回去取东西。", en="Get out first, then call. Do not go back for anything."),
        ("119",),
    ),
    Danger(
        "gas",
        _words(
            "燃气泄漏 煤气泄漏 天然气泄漏 漏气 燃气味 煤气味 天然气味 臭鸡蛋味 瓦斯 煤气中毒",
            "smell of gas; gas smell; gas leak; smells of gas; smell gas",
        ),
        Sentence(
            zh="不要开关电器、不要点火；开窗，离开，到室外再打电话。",
            en="Touch no switch and no flame. Open the windows, leave, and call from outside.",
        ),
        ("119",),
    ),
    Danger(
        "medical",
        _words(
            "受伤 流血 昏迷 晕倒 没有呼吸 心脏病 中毒 骨折 砸伤 摔伤 溺水 触电 生命危险",
            "injured; hurt; bleeding; unconscious; not breathing; heart attack; drowning; electrocuted; collapsed",
        ),
        Sentence(
            zh="先打急救电话，说清地点，留在原处等候。", en="Call the ambulance, say where you are, and stay there."
        ),
        ("120",),
    ),
    Danger(
        "trapped",
        _words(
            "被困 困在 塌方 坍塌 倒塌 掉进 坠落 坠井 塌陷",
            "trapped; stuck in the lift; cave-in; caved in; building collapse; fell into",
        ),
        Sentence(
            zh="有人被困或有倒塌危险：离远一点，马上打电话。",
            en="Somebody is trapped or it may fall: keep away and call.",
        ),
        ("119", "120"),
    ),
    Danger(
        "crime",
        _words(
            "打架 斗殴 持刀 抢劫 抢夺 入室 盗窃 家暴 跳楼 自杀 轻生 绑架 威胁",
            "fight; knife; robbery; robbed; burglar; suicide; threatened; kidnap",
        ),
        Sentence(zh="有人正受到威胁：马上报警。", en="Somebody is being threatened: call the police."),
        ("110",),
    ),
    Danger(
        "traffic",
        _words(
            "车祸 撞车 撞人 被撞 追尾 肇事",
            "car crash; car accident; traffic accident; run over; hit by a car",
        ),
        Sentence(
            zh="人受伤先打120；车能动就先移到路边。", en="If somebody is hurt call 120 first; move what can be moved."
        ),
        ("122", "120"),
    ),
    Danger(
        "power",
        _words(
            "电线掉 电线断 电线垂 电线落 漏电 高压线 电杆倒 电线杆倒 变压器冒",
            "live wire; power line down; fallen wire; wire on the ground; electric shock",
        ),
        Sentence(
            zh="离电线至少8米，不要碰水里的东西。",
            en="Keep eight metres away from the wire and touch nothing that stands in water.",
        ),
        ("119",),
    ),
    Danger(
        "water",
        _words(
            "爆管 水管爆 管道爆裂 喷水",
            "burst pipe; water main; burst main",
        ),
        Sentence(zh="水会漫进屋里时，先切断电源再撤离。", en="If water comes in, switch the power off and leave."),
        ("12345",),
    ),
)


def dangers_in(texts: Iterable[str]) -> list[Danger]:
    """The dangers of which these texts speak, in the order of the table."""
    said = "\n".join(texts).casefold()
    return [danger for danger in DANGERS if any(word in said for word in danger.words)]
