"""`data/list.pdf`: the list of electronic data (电子数据清单), set from `data/case.json` alone, signed by the archive.

Source: 法发〔2016〕22号, article 14.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from archive.documents.typesetting import Typesetter
from archive.kernel.canonical import parse_canonical
from archive.kernel.instants import parse_instant

_REASON: Final = "List of electronic data"
_METHODS: Final = {
    "station": "采集站导入 / brought in by a docking station",
    "browser": "网页上传 / uploaded in a browser",
    "axis": "执法记录仪系统传输 / transferred by a body-worn system",
    "filed": "归档 / filed as a text record",
}
_CLASSES: Final = {
    "video": "录音录像 / audio-video recording",
    "audio": "录音 / audio recording",
    "image": "图片 / picture",
    "text": "文档 / document",
    "application/pdf": "文档 / document",
}


class DocumentSigner(Protocol):
    """Signs a PDF; see `signing.pades.PadesSigner`."""

    def sign_pdf(self, pdf: bytes, *, reason: str) -> bytes:
        """Return the PDF with a signature."""
        ...


@dataclass(frozen=True, slots=True)
class ListMaker:
    """Sets and signs the list; call it with the bytes of `data/case.json`."""

    typesetter: Typesetter
    signer: DocumentSigner

    def __call__(self, case_json: bytes) -> bytes:
        """Return the signed list. Raises: TypesettingFault, what signing raises."""
        data = parse_canonical(case_json)
        told = {**data, "objects": [_told(found) for found in data["objects"]]}
        pdf = self.typesetter.set_pdf(told, at=parse_instant(data["made"]))
        return self.signer.sign_pdf(pdf, reason=_REASON)


def _told(found: dict[str, Any]) -> dict[str, Any]:
    media_type = found.get("media_type", "")
    kind = _CLASSES.get(media_type) or _CLASSES.get(media_type.partition("/")[0], "其他 / other")
    return {**found, "class": kind, "method": _METHODS.get(found["method"], found["method"])}
