"""Parameters of `web_viewer`, declared once; defaults of the page come from `PageSettings`."""

from __future__ import annotations

from rclpy.node import Node

from uaafusion_ros.node.declarations import START, Declaration
from uaafusion_ros.web.settings import PageSettings

_page = PageSettings()

WEB_VIEWER_DECLARATIONS = tuple(
    Declaration(name, default, description, limits=limits, choices=choices, fixed=START)
    for name, default, description, limits, choices in (
        (
            "host",
            _page.host,
            "Address to listen on: 127.0.0.1 this machine alone, 0.0.0.0 whoever reaches it",
            None,
            None,
        ),
        ("port", _page.port, "TCP port of the page; 0: a free one", (0, 65535), None),
        (
            "host_names",
            ",".join(_page.names),
            "Names besides its own by which browsers may call this machine, with commas between",
            None,
            None,
        ),
        ("rate", _page.rate, "Most images a second of each picture", (0.1, 60.0), None),
        ("quality", _page.quality, "Quality of the JPEG images", (1, 100), None),
        (
            "longest_side",
            _page.longest_side,
            "Longer side of the images that are sent, in pixels; larger ones are shrunk",
            (32, 8192),
            None,
        ),
        ("viewers", _page.viewers, "Browsers that may look at the same time", (1, 100), None),
        (
            "fusion_node",
            "uaafusion",
            "Name of the fusion node that is shown; without a / at its beginning, in this node's "
            "namespace",
            None,
            None,
        ),
        (
            "input_transport",
            "auto",
            "raw subscribes Image; compressed subscribes CompressedImage on <topic>/compressed; "
            "auto: as the fusion node does",
            None,
            ("auto", "raw", "compressed"),
        ),
    )
)


def page_settings(node: Node) -> PageSettings:
    """The page's part of the parameters."""
    names = node.get_parameter("host_names").value.split(",")
    return PageSettings(
        host=node.get_parameter("host").value,
        port=node.get_parameter("port").value,
        names=tuple(name.strip() for name in names if name.strip()),
        rate=node.get_parameter("rate").value,
        quality=node.get_parameter("quality").value,
        longest_side=node.get_parameter("longest_side").value,
        viewers=node.get_parameter("viewers").value,
    )
