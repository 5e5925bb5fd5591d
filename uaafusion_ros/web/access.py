"""Who may load the page, and what its browser is told to refuse.

A page of another site must not read this one through the browser of somebody who may. It cannot
by itself, but for WebSockets, which browsers open to any host, and for a name of its own that it
lets point to this machine (DNS rebinding). Hence a look at Origin and Host.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "uaafusion_ros",
}


def own_names() -> set[str]:
    """Names by which browsers call this machine: localhost, its host name, and that in mDNS."""
    name = socket.gethostname().lower()
    short = name.split(".")[0]
    return {"localhost", name, short, f"{short}.local"} - {""}


def host_objection(host: str | None, names: Collection[str]) -> str:
    """Why a request with this Host header is refused; empty if it is not.

    Args:
        names: besides IP addresses, which no name server can turn to this machine.
    """
    name = _name(host or "")
    if _is_address(name) or (name and name in names):
        return ""
    return (
        f"host {host!r} is not this machine; expected an IP address or one of "
        f"{', '.join(sorted(names))}. Further names go into the parameter names"
    )


def origin_objection(origin: str | None, host: str | None) -> str:
    """Why a WebSocket of a page from ``origin`` is refused; empty if it is not."""
    try:
        found = urlsplit(origin or "")
    except ValueError:  # a bracket that is not closed
        found = urlsplit("")
    if found.scheme in ("http", "https") and found.netloc.lower() == (host or "").lower():
        return ""
    return f"origin {origin!r}, expected the page of this host, {host!r}"


def _name(host: str) -> str:
    """The Host header without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
