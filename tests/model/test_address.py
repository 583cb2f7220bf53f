"""URLs as typed, and who can come there."""

import pytest

from shared.model.address import checked_base, is_local, is_loopback, is_readable_on_the_way
from shared.settings import BadSettings, read_settings


@pytest.mark.parametrize(
    ("url", "loopback", "readable", "local"),
    [
        ("http://127.0.0.1:8080", True, False, False),
        ("http://127.9.9.9", True, False, False),
        ("http://0.0.0.0:8080", True, False, False),
        ("http://localhost:8080", True, False, False),
        ("http://[::1]:8080", True, False, False),
        ("http://[::ffff:127.0.0.1]:8080", True, False, False),
        ("http://127.1", True, False, False),
        ("http://2130706433:8080", True, False, False),
        ("http://0x7f.1", True, False, False),
        ("http://localhost.:8080", True, False, False),
        ("http://LOCALHOST", True, False, False),
        ("http://yurt.localhost", True, False, False),
        ("http://[::ffff:192.168.1.5]", False, False, True),
        ("http://notlocalhost.example.org", False, True, False),
        ("http://192.168.1.5:8080", False, False, True),
        ("http://10.0.0.7", False, False, True),
        ("http://100.101.102.103", False, False, True),
        ("http://[fd00::2]:8080", False, False, True),
        ("http://nas:8080", False, False, False),
        ("http://nas.local:8080", False, False, False),
        ("http://nas.home.arpa", False, False, False),
        ("http://93.184.216.34", False, True, False),
        ("http://yurt.example.org", False, True, False),
        ("http://local.example.org", False, True, False),
        ("https://yurt.example.org", False, False, False),
        ("https://93.184.216.34", False, False, False),
    ],
)
def test_what_a_url_means_for_a_phone(
    url: str, loopback: bool, readable: bool, local: bool
) -> None:
    assert is_loopback(url) is loopback
    assert is_readable_on_the_way(url) is readable
    assert is_local(url) is local


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        ("https://yurt.example.org/", "https://yurt.example.org"),
        (" http://192.168.1.5:8080 ", "http://192.168.1.5:8080"),
        ("https://example.org/yurt/", "https://example.org/yurt"),
        ("HTTPS://Yurt.example.org", "HTTPS://Yurt.example.org"),
    ],
)
def test_a_base_as_typed(typed: str, base: str) -> None:
    assert checked_base(typed) == base


@pytest.mark.parametrize(
    "typed",
    [
        *("", "yurt.example.org", "ftp://example.org", "https://", "https:///x", "//example.org"),
        *("https://example.org?x=1", "https://example.org#x", "https://me:pw@example.org"),
        *("http://[::1", "http://example.org:port", "http://example.org:99999", "https://a b.org"),
        *("https://example.org?", "https://example.org#", "https://:pw@example.org"),
    ],
)
def test_what_cannot_be_a_base_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"http|nothing else"):
        checked_base(typed)


@pytest.mark.parametrize(
    "base", ["https://a b.org", "http://example.org:99999", "https://example.org?x=1", "a.org"]
)
def test_the_base_in_the_environment_is_held_to_the_same(base: str) -> None:
    with pytest.raises(BadSettings, match="YURT_PUBLIC_BASE"):
        read_settings({"YURT_PUBLIC_BASE": base})
    assert read_settings({"YURT_PUBLIC_BASE": "https://y.example/"}).public_base == (
        "https://y.example"
    )
