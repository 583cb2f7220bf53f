"""At which URLs this machine's node can be reached."""

import ipaddress
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.running import Running
    from shared.settings import Settings

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
ANY_HOST = "0.0.0.0"  # noqa: S104 - to be advised, not bound


def running_node(settings: "Settings") -> "Running | None":
    """The home node that serves this data now."""
    if settings.firestore is not None:
        return None
    from infra import running

    return running.running_node(settings.data)


def node_base(settings: "Settings", running: "Running | None") -> str:
    """The URL at which others reach the node; a loopback one when nobody else can."""
    if settings.public_base is not None:
        return settings.public_base
    if running is None:
        return base_url(DEFAULT_HOST, DEFAULT_PORT)
    if _is_unspecified(running.host):
        return base_url(lan_address() or DEFAULT_HOST, running.port)
    return base_url(running.host, running.port)


def local_base(running: "Running") -> str:
    """The URL at which this machine itself reaches the node."""
    every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what it means, no binding
    return base_url(every.get(running.host, running.host), running.port)


def up_command(host: str, port: int) -> str:
    """What starts a home node at this address."""
    there = f" --host {host}" if host != DEFAULT_HOST else ""
    return f"yurt up{there}{f' --port {port}' if port != DEFAULT_PORT else ''}"


def base_url(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def lan_address() -> str | None:
    """This machine's address in its own network, if it is in one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: it only asks which way a packet would leave (RFC 5737 address).
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if ipaddress.ip_address(address).is_loopback else address


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
