"""What the report of a four-nature check (四性检测报告) says, in the words of paper."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from archive.kernel.findings import Outcome
from archive.volumes.natures import Nature, natures_of
from archive.volumes.rules import VolumeKind, VolumeRules

_NATURES: Final = {
    Nature.AUTHENTICITY: "真实性检测",
    Nature.INTEGRITY: "完整性检测",
    Nature.USABILITY: "可用性检测",
    Nature.SECURITY: "安全性检测",
}
_QUESTIONS: Final = {
    "index_signed": "目录数据的档案系统签名与机关电子签章有效，带可信时间戳",
    "sheets_sealed": "卷皮、卷内目录、备考表的电子签章有效",
    "records_signed": "本系统形成的文书签名、签章有效",
    "manifests_signed": "各件的元数据清单由档案系统签名，签名有效",
    "index_root": "目录各条目与封卷时的根摘要一致",
    "digests": "各件逐字节重新读取，与封卷时的摘要值一致",
    "logged": "各件的归档记录在审计日志中可查，摘要值一致",
    "metadata": "各条目必填元数据齐全",
    "pages_run": "件号、页号连续，与总页数相符",
    "openable": "各件可以打开、播放",
    "page_counts": "文书实有页数与目录页号相符",
    "formats": "各件格式属于可长期保存的格式",
    "no_scripts": "文书不含脚本和自动执行的动作",
    "no_encryption": "文书未加密",
    "no_attachments": "文书未夹带附件",
}
_OUTCOMES: Final = {"valid": "合格", "invalid": "不合格", "indeterminate": "无法判定", None: "无此类材料"}
_SUMMARY: Final = {
    Outcome.VALID: "经检测，本卷电子档案的真实性、完整性、可用性、安全性符合要求。",
    Outcome.INVALID: "经检测，本卷电子档案存在不合格项，须查明原因。",
    Outcome.INDETERMINATE: "经检测，本卷电子档案未发现不合格项，但有项目无法判定，不能认定为合格。",
}


def report_told(
    told: Mapping[str, Any],
    findings: Sequence[Mapping[str, Any]],
    outcome: Outcome,
    *,
    rules: VolumeRules,
    number: int,
    on: date,
) -> dict[str, Any]:
    """Return what the layout of the report sets."""
    return {
        "file_number": told["file_number"],
        "volume": rules.words[VolumeKind(told["kind"])],
        "agency": told["agency"],
        "case_number": told["case"]["number"],
        "title": told["case"]["title"],
        "papers": f"{told['size']}件",
        "pages": f"{told['pages']}页",
        "root": told["root"],
        "number": number,
        "on": f"{on.year}年{on.month}月{on.day}日",
        "outcome": _OUTCOMES[outcome.value],
        "summary": _SUMMARY[outcome],
        "natures": [
            {"name": _NATURES[nature], "checks": list(map(_check, found))}
            for nature, found in natures_of(findings).items()
        ],
    }


def _check(found: Mapping[str, Any]) -> dict[str, Any]:
    faults = [f"{_where(each['where'])}：{each['code']}" for each in found["faults"]]
    return {
        "name": _QUESTIONS[found["check"]],
        "count": found["count"],
        "outcome": _OUTCOMES[found["outcome"]],
        "is_good": found["outcome"] in {"valid", None},
        "faults": faults,
    }


def _where(where: str) -> str:
    return f"第{where}件" if where.isdigit() else where
