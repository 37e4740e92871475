"""Networks, and browsers in plain words."""

import pytest

from archive.access.browsers import Browser, System, network_of, origin_of

_CHROMIUM = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36"
_WINDOWS, _ANDROID = "Windows NT 10.0; Win64; x64", "Linux; Android 15; Pixel 9"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("192.0.2.1", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("testclient", ""),
        ("", ""),
        ("192.0.2.77:80", ""),
    ],
)
def test_an_address_counts_as_the_network_that_one_customer_has(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("said", "browser", "system"),
    [
        (_CHROMIUM.format(_WINDOWS), Browser.CHROME, System.WINDOWS),
        (_CHROMIUM.format(_WINDOWS) + " Edg/144.0.0.0", Browser.EDGE, System.WINDOWS),
        (_CHROMIUM.format(_WINDOWS) + " 360SE", Browser.QIHOO, System.WINDOWS),
        (_CHROMIUM.format("X11; Linux x86_64") + " OPR/110.0", Browser.OPERA, System.LINUX),
        (_CHROMIUM.format(_ANDROID) + " MicroMessenger/8.0.50", Browser.WECHAT, System.ANDROID),
        (_CHROMIUM.format("Phone; OpenHarmony 5.0"), Browser.CHROME, System.HARMONY),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Browser.FIREFOX, System.LINUX),
        (_IPHONE + "Version/18.2 Mobile/15E148 Safari/604.1", Browser.SAFARI, System.IOS),
        (_IPHONE + "CriOS/131.0 Mobile/15E148 Safari/604.1", Browser.CHROME, System.IOS),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15",
            Browser.SAFARI,
            System.MACOS,
        ),
        ("python-httpx/0.28", Browser.OTHER, System.OTHER),
        ("", Browser.OTHER, System.OTHER),
    ],
)
def test_a_browser_is_called_what_people_call_it(said: str, browser: Browser, system: System) -> None:
    found = origin_of(address="192.0.2.1", user_agent=said, cookie="")
    assert (found.browser, found.system, found.marks) == (browser, system, ())


def test_a_cookie_has_room_for_eight_marks() -> None:
    assert len(origin_of(address="", user_agent="", cookie="~".join("abcdefghij")).marks) == 8
