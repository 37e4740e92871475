"""Where a sign-in comes from: the network, the browser in plain words, and whether the account knows this browser.

A browser is known by a cookie that it got after signing in: a random id and a moment under a keyed hash that also
covers the account and its password, so that the cookie is worth nothing for anybody else, and nothing more once the
password has changed. It opens nothing; it only keeps what strangers do from holding its browser up.
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from archive.access.models import Account
from archive.kernel.instants import Instant

KNOWN_FOR: Final = timedelta(days=180)
_MOST_KNOWN: Final = 8
"""As many people can use one browser without being strangers to it; a cookie has room for them."""
_V4_PREFIX, _V6_PREFIX = 24, 48
_MARK: Final = re.compile(r"(?P<id>[0-9a-f]{32})\.(?P<made>[0-9]{1,12})\.(?P<mac>[0-9a-f]{64})")


class Browser(StrEnum):
    """Families of browsers, as people call them. The first one whose mark stands in what a browser says counts."""

    WECHAT = "wechat"
    QQ = "qq"
    QIHOO = "qihoo"
    EDGE = "edge"
    OPERA = "opera"
    FIREFOX = "firefox"
    CHROME = "chrome"
    SAFARI = "safari"
    OTHER = "other"


class System(StrEnum):
    """Families of operating systems."""

    HARMONY = "harmony"
    ANDROID = "android"
    IOS = "ios"
    WINDOWS = "windows"
    MACOS = "macos"
    LINUX = "linux"
    OTHER = "other"


_BROWSER_MARKS: Final = {
    Browser.WECHAT: "MicroMessenger/",
    Browser.QQ: "QQBrowser/",
    Browser.QIHOO: "360SE|360EE|QihooBrowser",
    Browser.EDGE: "Edg/|EdgA/|EdgiOS/",
    Browser.OPERA: "OPR/",
    Browser.FIREFOX: "Firefox/|FxiOS/",
    Browser.CHROME: "Chrome/|CriOS/",
    Browser.SAFARI: "Version/[0-9.]+ .*Safari/",
}
_SYSTEM_MARKS: Final = {
    System.HARMONY: "OpenHarmony|HarmonyOS",
    System.ANDROID: "Android",
    System.IOS: "iPhone|iPad",
    System.WINDOWS: "Windows",
    System.MACOS: "Macintosh",
    System.LINUX: "Linux",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sign-in comes from; `marks` are those of the cookie by which accounts know this browser."""

    network: str = ""
    browser: Browser = Browser.OTHER
    system: System = System.OTHER
    marks: tuple[str, ...] = ()


NOWHERE: Final = Origin()
"""Where nothing is known of it: tests and commands."""


def origin_of(*, address: str, user_agent: str, cookie: str) -> Origin:
    """Return where a request comes from, by its address and by what its browser says of itself."""
    browser = next((found for found, mark in _BROWSER_MARKS.items() if re.search(mark, user_agent)), Browser.OTHER)
    system = next((found for found, mark in _SYSTEM_MARKS.items() if re.search(mark, user_agent)), System.OTHER)
    return Origin(network_of(address), browser, system, tuple(cookie.split("~")[:_MOST_KNOWN]) if cookie else ())


def network_of(address: str) -> str:
    """Return the network that an address is in: /24, or /48 of IPv6, which is what one customer is given."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    prefix = _V4_PREFIX if found.version == 4 else _V6_PREFIX
    return str(ipaddress.ip_network((int(found), found.max_prefixlen)).supernet(new_prefix=prefix))


def known_browser(secret: bytes, account: Account | None, marks: Sequence[str], *, at: Instant) -> str | None:
    """Return the id under which the account knows the browser that has these marks, if it does."""
    return next((browser_id for _, browser_id in _known(secret, account, marks, at)), None)


def marks_with(secret: bytes, account: Account, marks: Sequence[str], *, at: Instant) -> str:
    """Return the cookie by which this browser is known from now on, also to this account."""
    known = dict(_known(secret, account, marks, at))
    browser_id = next(iter(known.values()), None) or secrets.token_hex(16)
    made = int(at.timestamp())
    fresh = f"{browser_id}.{made}.{_mac(secret, account, browser_id, made)}"
    others = [mark for mark in marks if mark not in known and _MARK.fullmatch(mark)]
    return "~".join([fresh, *others][:_MOST_KNOWN])


def _known(secret: bytes, account: Account | None, marks: Sequence[str], at: Instant) -> Iterator[tuple[str, str]]:
    for mark in marks:
        found = _MARK.fullmatch(mark)
        if account is None or found is None:
            continue
        browser_id, made = found["id"], int(found["made"])
        is_fresh = timedelta(0) <= timedelta(seconds=at.timestamp() - made + 1) <= KNOWN_FOR
        if is_fresh and hmac.compare_digest(found["mac"], _mac(secret, account, browser_id, made)):
            yield mark, browser_id


def _mac(secret: bytes, account: Account, browser_id: str, made: int) -> str:
    told = f"known browser v1|{account.id}|{account.password_hash}|{browser_id}|{made}"
    return hmac.new(secret, told.encode(), hashlib.sha256).hexdigest()
