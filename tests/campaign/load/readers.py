"""People who read pages and watch recordings while docks send."""

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import httpx

_PAGES: Final = ("/", "/items", "/search?q=REC", "/log/health", "item")
_RANGE_BYTES: Final = 2 << 20
_PATIENCE_S: Final = 60.0
_PRESSURE: Final = frozenset({429, 503})
_ITEM: Final = re.compile(r"/items/([0-9a-f-]{36})")


@dataclass(slots=True)
class Seen:
    """What the readers met. Units: seconds for each page, bytes that were watched."""

    pages: dict[str, list[float]] = field(default_factory=dict)
    watched_bytes: int = 0
    ranges_s: list[float] = field(default_factory=list)
    pressed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Reader(threading.Thread):
    """One person. Every answer that is none is noted: nothing is passed over."""

    def __init__(self, address: str, password: str, ca: str, *, pause_s: float, seed: int, seen: Seen) -> None:
        """Take an account and how long the person looks at a page. `seen` may be shared."""
        super().__init__(daemon=True)
        self._client = httpx.Client(
            base_url=address, verify=httpx.create_ssl_context(ca), timeout=_PATIENCE_S, trust_env=False
        )
        self._password, self._pause_s, self._seen = password, pause_s, seen
        self._chance = random.Random(seed)
        self._done = threading.Event()
        self.items: list[str] = []

    def run(self) -> None:
        """Sign in, then act again and again."""
        with self._client:
            while not self._sign_in() and not self._done.wait(self._pause_s):
                pass  # what kept the person out is noted
            while not self._done.wait(self._pause_s * self._chance.uniform(0.5, 1.5)):
                self.act()

    def _sign_in(self) -> bool:
        told = {"username": "supervisor", "password": self._password}
        return self._ask("sign in", lambda: self._client.post("/sign-in", data=told)) is not None

    def end(self) -> None:
        """Stop, and wait for what is under way."""
        self._done.set()
        self.join()

    def act(self) -> None:
        """Read one page."""
        page = self._chance.choice(_PAGES)
        if page == "item" and not self.items:
            page = "/items"
        path = f"/items/{self._chance.choice(self.items)}" if page == "item" else page
        answer = self._ask(page, lambda: self._client.get(path))
        if answer is not None and page == "/items":
            self.items = sorted(set(_ITEM.findall(answer.text)))

    def _ask(self, what: str, ask: Callable[[], httpx.Response]) -> httpx.Response | None:
        began = time.monotonic()
        try:
            answer = ask()
        except httpx.HTTPError as exc:
            self._seen.errors.append(f"{what}: {type(exc).__name__}")
            return None
        if answer.status_code in _PRESSURE:
            self._seen.pressed.append(f"{what}: {answer.status_code}")
            return None
        if answer.status_code >= 400:
            self._seen.errors.append(f"{what}: {answer.status_code}")
            return None
        if what != "sign in" and "/sign-in" in answer.headers.get(
            "location", ""
        ):  # the session has ended, or never began
            self._sign_in()
            return None
        self._seen.pages.setdefault(what, []).append(time.monotonic() - began)
        return answer


class Viewer(Reader):
    """One person who watches: a grant, then ranges at the speed of the recording, until its end or for a while."""

    def act(self) -> None:
        """Press play on a recording, and watch some of it."""
        answer = self._ask("/items", lambda: self._client.get("/items"))
        items = [] if answer is None else sorted(set(_ITEM.findall(answer.text)))
        if not items:
            return
        item = self._chance.choice(items)
        offered = self._ask("item", lambda: self._client.get(f"/items/{item}"))
        if offered is None or f"/items/{item}/play" not in offered.text:
            return  # it does not play yet, and the page says so
        told = {"purpose": "load test", "reference": "1"}
        page = self._ask("play", lambda: self._client.post(f"/items/{item}/play", data=told, follow_redirects=True))
        found = None if page is None else re.search(r"/content/[0-9a-f-]+/playable", page.text)
        if found is None:
            if page is not None:
                self._seen.errors.append("play: no address to play from")
            return
        at_byte = 0
        for _ in range(8):
            began = time.monotonic()
            size = self._range(found[0], at_byte)
            if size < _RANGE_BYTES or self._done.wait(max(0.0, self._pause_s - (time.monotonic() - began))):
                return
            at_byte += size

    def _range(self, path: str, at_byte: int) -> int:
        """Fetch a range; return how much came of it."""
        began = time.monotonic()
        wanted = {"Range": f"bytes={at_byte}-{at_byte + _RANGE_BYTES - 1}"}
        try:
            answer = self._client.get(path, headers=wanted, follow_redirects=True)
        except httpx.HTTPError as exc:
            self._seen.errors.append(f"range: {type(exc).__name__}")
            return 0
        if answer.status_code == 416:
            return 0  # the recording has ended
        if answer.status_code != 206:
            (self._seen.pressed if answer.status_code in _PRESSURE else self._seen.errors).append(
                f"range: {answer.status_code}"
            )
            return 0
        self._seen.ranges_s.append(time.monotonic() - began)
        self._seen.watched_bytes += len(answer.content)
        return len(answer.content)
