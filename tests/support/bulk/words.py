"""What cases of a bureau are called, where they happened and whom they concern."""

import random
from itertools import accumulate
from typing import Final

from archive.cases.terms import Category, SubjectKind

COMMON: Final = "占道经营"
"""In the titles of about one case of eight."""
RARE: Final = "无人机黑飞"
"""In the titles of twenty cases, however many there are."""
NEVER: Final = "量子纠缠"
STREET: Final = "翠湖路"
"""In one of sixty places."""
APART: Final = ("占道经营", "油烟扰民")
"""Two words of which each is in many titles, and no title has both."""
_MATTERS: Final = (
    (COMMON, 16), ("流动摊贩" + COMMON, 4), ("违法建设", 12), ("擅自设置户外广告", 10), ("运输渣土沿途遗撒", 10),
    ("餐饮油烟扰民", 9), ("未密闭运输建筑垃圾", 8), ("施工噪声扰民", 8), ("擅自挖掘城市道路", 6), ("临时占用城市道路", 6),
    ("未取得许可经营燃气", 5), ("随意倾倒生活垃圾", 5), ("毁坏城市绿地", 4), ("犬只扰民", 3), ("超限运输", 3),
    ("出店经营", 3), ("共享单车乱停放", 2), ("非法营运", 2), ("水域违法捕捞", 1), ("文物保护范围内施工", 1),
)  # fmt: skip
_WHERE: Final = (
    "门前",
    "路口东南角",
    "小区南门",
    "农贸市场外",
    "地铁口",
    "人行道",
    "工地",
    "后巷",
    "停车场",
    "滨河步道",
)
_STREETS: Final = tuple(
    f"{first}{second}"
    for first in ("北京", "翠湖", "青年", "滇池", "景明", "金碧", "东风", "白塔", "环城", "春城", "彩云", "官南")
    for second in ("路", "街", "巷", "大道", "支路")
)
_DISTRICTS: Final = ("官渡区", "五华区", "盘龙区", "西山区", "呈贡区")
_SURNAMES: Final = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
_GIVEN: Final = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉玲建华红梅鑫宇浩凯健俊帆雪琳晨"
_TRADES: Final = ("烧烤店", "小吃店", "水果店", "五金店", "建筑工程有限公司", "运输有限公司", "广告传媒有限公司", "餐饮管理有限公司", "物业服务有限公司", "汽车修理厂")  # fmt: skip
_NAMES: Final = "鑫旺福源顺达兴隆恒丰宏远嘉禾云岭锦绣润泽博雅天成永安"
_CATEGORIES: Final = {
    Category.PENALTY: ("罚", 60), Category.INSPECTION: ("检", 24), Category.COERCION: ("强", 8),
    Category.PERMISSION: ("许", 8),
}  # fmt: skip
_WHAT: Final = [what for what, _ in _MATTERS]
_HOW_OFTEN: Final = list(accumulate(weight for _, weight in _MATTERS))
_KINDS: Final = list(_CATEGORIES)
_KINDS_OFTEN: Final = list(accumulate(weight for _, weight in _CATEGORIES.values()))


def person(chance: random.Random) -> str:
    """Return a name of a person."""
    return chance.choice(_SURNAMES) + "".join(chance.choices(_GIVEN, k=chance.randint(1, 2)))


def subject(chance: random.Random) -> tuple[SubjectKind, str]:
    """Return whom a case concerns."""
    if chance.random() < 0.35:
        return SubjectKind.PERSON, person(chance)
    name = "".join(chance.choices(_NAMES, k=2))
    return SubjectKind.ORGANISATION, f"{chance.choice(_DISTRICTS)}{name}{chance.choice(_TRADES)}"


def place(chance: random.Random) -> str:
    """Return an address."""
    street = chance.choice(_STREETS)
    return f"{chance.choice(_DISTRICTS)}{street} {chance.randrange(1, 900)} 号{chance.choice(_WHERE)}"


def matter(chance: random.Random, subject_name: str, *, is_rare: bool) -> str:
    """Return the title of a case."""
    what = RARE if is_rare else chance.choices(_WHAT, cum_weights=_HOW_OFTEN)[0]
    return f"{subject_name}{what}案"


def category(chance: random.Random) -> tuple[Category, str]:
    """Return a category with the character that it has in a number."""
    found = chance.choices(_KINDS, cum_weights=_KINDS_OFTEN)[0]
    return found, _CATEGORIES[found][0]
