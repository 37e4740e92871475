"""A case system as tests play it: it pushes over HTTP with a key, by ids of its own."""

import json
import zlib
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import httpx

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def credit_code(serial: int) -> str:
    """Return a unified social credit code that holds. Source: GB 32100-2015."""
    body = f"91530100{serial:08d}A"
    total = sum(_ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(body))
    return body + _ALPHABET[-total % 31]


@dataclass(frozen=True)
class CaseSystem:
    """One system with one key. The bodies that it pushes carry numbers that no other system has."""

    name: str
    key: str
    client: httpx.Client

    @classmethod
    def at(cls, base: str, name: str, key: str, **given: Any) -> Self:
        """Connect to an archive."""
        headers = {"Authorization": f"Bearer {key}"}
        return cls(name, key, httpx.Client(base_url=base, headers=headers, timeout=60, trust_env=False, **given))

    def subject(self, serial: int = 1, **changes: Any) -> dict[str, Any]:
        """Return the body of a subject."""
        code = credit_code(zlib.crc32(self.name.encode()) % 1_000_000 * 100 + serial)
        return {
            "kind": "organisation",
            "name": "官渡区阿明烧烤店",
            "identifiers": [{"kind": "credit_code", "number": code}],
            **changes,
        }

    def case(self, serial: int = 1, **changes: Any) -> dict[str, Any]:
        """Return the body of a case."""
        return {
            "number": f"官综执罚〔2026〕第{self.name}-{serial}号",
            "title": "占道经营烧烤摊点案",
            "category": "penalty",
            "subject": "PARTY-1",
            **changes,
        }

    def act(self, **changes: Any) -> dict[str, Any]:
        """Return the body of an act."""
        return {
            "case": "CASE-1",
            "stage": "inspection",
            "place": "北京路延长线 188 号",
            "started_at": "2026-03-02T09:30:00+08:00",
            "ended_at": "2026-03-02T10:05:00+08:00",
            "officers": ["OFF-1", "OFF-2"],
            **changes,
        }

    def officer(self, serial: int = 1, **changes: Any) -> dict[str, Any]:
        """Return the body of an officer."""
        return {
            "certificate_number": f"{self.name}-{serial}",
            "name": "李晓东",
            "agency": "官渡区综合行政执法局",
            "unit": "北市区中队",
            "categories": ["城市管理"],
            "valid_from": "2024-05-01",
            "valid_until": "2029-04-30",
            **changes,
        }

    def address(self, kind: str, external_id: str) -> str:
        """Return the address of a thing, with its id percent-encoded as a careful client does."""
        return f"/api/v1/systems/{self.name}/{kind}/{quote(external_id, safe='')}"

    def put(self, kind: str, external_id: str, body: Any, *, adopt: bool = False, **headers: str) -> httpx.Response:
        """Push one thing."""
        return self.client.put(
            self.address(kind, external_id),
            content=json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"),
            params={"adopt": "true"} if adopt else None,
            headers={"Content-Type": "application/json", **headers},
        )

    def get(self, kind: str, external_id: str) -> httpx.Response:
        """Read one thing back."""
        return self.client.get(self.address(kind, external_id))

    def list(self, kind: str, **query: Any) -> httpx.Response:
        """Read a list."""
        return self.client.get(f"/api/v1/systems/{self.name}/{kind}", params=query)

    def post(self, place: str, body: Any) -> httpx.Response:
        """Send something to an address below the system's."""
        return self.client.post(f"/api/v1/systems/{self.name}/{place}", json=body)

    def push_all(self) -> dict[str, httpx.Response]:
        """Push a whole case: its subject, two officers, the case, an act."""
        return {
            "subject": self.put("subjects", "PARTY-1", self.subject()),
            "officer": self.put("officers", "OFF-1", self.officer(1)),
            "other officer": self.put("officers", "OFF-2", self.officer(2, name="周敏")),
            "case": self.put("cases", "CASE-1", self.case()),
            "act": self.put("acts", "ACT-1", self.act()),
        }
