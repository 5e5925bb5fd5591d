"""What page and server say to each other over the WebSocket.

The page says two things, as JSON texts: which pictures it shows now, and that it has drawn one
of them. Both concern what is sent to this page alone; there is no third.

    {"type": "look", "pictures": ["fused", "infrared"]}
    {"type": "seen", "picture": "fused"}

The server sends JSON texts of the types ``hello``, ``classes``, ``status`` and ``error``, and
frames as binary messages (`uaafusion_ros.web.pictures`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from uaafusion_ros.web.pictures import PICTURES

LONGEST = 1024
"""Characters of the longest message that a page may send."""


class ProtocolError(ValueError):
    """A message that is not known: what was found, and what is known.

    Args:
        code: of the WebSocket's end (RFC 6455, 7.4.1).
    """

    def __init__(self, message: str, code: int = 1008) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Look:
    """The page shows these pictures now, and no other."""

    pictures: frozenset[str]


@dataclass(frozen=True)
class Seen:
    """The page has drawn the last frame of this picture and can take another."""

    picture: str


def read_message(text: str) -> Look | Seen:
    """Understands a message of the page.

    Raises:
        ProtocolError: it is too long, no JSON, or not one of the two that are known.
    """
    if len(text) > LONGEST:
        raise ProtocolError(
            f"message of {len(text)} characters, expected at most {LONGEST}", code=1009
        )
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError(f"message {_shown(text)}, expected JSON") from None
    kind = message.get("type") if isinstance(message, dict) else None
    if kind == "look":
        names = _field(message, "pictures")
        if not isinstance(names, list):
            raise ProtocolError(f"pictures is {_shown(names)}, expected a list of them")
        return Look(frozenset(_picture(name) for name in names))
    if kind == "seen":
        return Seen(_picture(_field(message, "picture")))
    raise ProtocolError(f"message {_shown(text)}, expected an object of type look or seen")


def message(kind: str, **content: Any) -> str:
    """A text of the server."""
    return json.dumps({"type": kind, **content}, ensure_ascii=False, allow_nan=False)


def _field(message: dict[str, Any], name: str) -> Any:
    if set(message) != {"type", name}:
        raise ProtocolError(
            f"a message of type {message['type']} with {_shown(sorted(message))}, expected type "
            f"and {name}"
        )
    return message[name]


def _picture(name: Any) -> str:
    if not isinstance(name, str) or name not in PICTURES:
        raise ProtocolError(f"picture {_shown(name)}, expected one of {', '.join(PICTURES)}")
    return name


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
