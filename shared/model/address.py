"""The URL below which a node is reached: whether it can be one, and who can come there."""

import ipaddress
import socket
from urllib.parse import urlsplit

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def checked_base(url: str) -> str:
    """A base URL as typed, without a slash at its end; `ValueError`, which says why, if it is none.

    It has http or https, a host, and at most a port and a path.
    """
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        if " " in url or not url.isprintable() or parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError(f'"{url}" is no URL; write it like https://yurt.example.org') from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f'"{url}" does not begin with https:// or http://; try: https://{url}')
    if "?" in url or "#" in url or "@" in parts.netloc:
        raise ValueError(f'"{url}" may have a host, a port and a path, nothing else')
    return url


def is_loopback(url: str) -> bool:
    """Whether a machine that goes there reaches itself."""
    host = _host(url)
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761, section 6.3
    return address.is_loopback or address.is_unspecified


def is_local(url: str) -> bool:
    """Whether only machines of one private network reach this URL."""
    address = _address(_host(url))
    return address is not None and not address.is_global and not is_loopback(url)


def is_readable_on_the_way(url: str) -> bool:
    """Whether strangers between a phone and this URL could read what is sent."""
    host = _host(url)
    address = _address(host)
    if urlsplit(url).scheme == "https" or is_loopback(url):
        return False
    if address is not None:
        return address.is_global
    return "." in host and not host.endswith((".local", ".lan", ".internal", ".home.arpa"))


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removesuffix(".")


def _address(host: str) -> _Address | None:
    try:
        address: _Address = ipaddress.ip_address(host)
    except ValueError:
        return _old_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _old_address(host: str) -> ipaddress.IPv4Address | None:
    """The address in fewer or other numbers, as in 127.1: systems still understand it so."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
