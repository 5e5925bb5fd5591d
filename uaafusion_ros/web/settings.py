"""Settings of the page; every default of it stands here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PageSettings:
    """Where the page is served, and how much it may cost."""

    #: Address to listen on; 127.0.0.1 is this machine alone, 0.0.0.0 everybody who reaches it.
    host: str = "127.0.0.1"
    #: TCP port; 0 takes a free one.
    port: int = 8080
    #: Names besides its own, localhost and addresses by which browsers may call this machine.
    names: tuple[str, ...] = ()
    #: Most images a second of each picture.
    rate: float = 10.0
    #: Quality of the JPEG images, 1 to 100.
    quality: int = 75
    #: Longer side of the images that are sent, in pixels; larger ones are shrunk.
    longest_side: int = 960
    #: Browsers that may look at the same time.
    viewers: int = 8
