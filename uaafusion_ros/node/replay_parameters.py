"""Parameters of `camera_replay`, declared once."""

from __future__ import annotations

from typing import get_args

from uaafusion_ros.node.declarations import START, Declaration
from uaafusion_ros.scenes.street import Condition

REPLAY_DECLARATIONS = tuple(
    Declaration(name, default, description, limits=limits, choices=choices, fixed=START)
    for name, default, description, limits, choices in (
        ("source", "street", "Where images come from", None, ("street", "folders")),
        ("infrared_folder", "", "Folder of infrared images, for source folders", None, None),
        ("visible_folder", "", "Folder of visible images with the same names", None, None),
        ("rate", 10.0, "Visible images a second", (0.01, 1000.0), None),
        ("infrared_rate", 0.0, "Infrared images a second; 0: as rate", (0.0, 1000.0), None),
        (
            "jitter",
            0.0,
            "Each image is taken up to this many seconds before or after its turn; its stamp tells "
            "the time at which it was taken",
            (0.0, 10.0),
            None,
        ),
        (
            "offset",
            0.0,
            "How far the infrared camera's clock is ahead, in seconds: added to its stamps",
            (-3600.0, 3600.0),
            None,
        ),
        ("loop", True, "Start anew after the last file; false ends the replay there", None, None),
        (
            "count",
            0,
            "Visible images to send before the replay ends; 0: no limit",
            (0, 10**9),
            None,
        ),
        ("condition", "night", "Weather of the street", None, get_args(Condition)),
        ("seed", 0, "Number that the street and the jitter follow from", (0, 2**31 - 1), None),
        ("width", 640, "Columns of the street's images", (32, 8192), None),
        ("height", 480, "Rows of the street's images", (32, 8192), None),
        (
            "prepared_images",
            16,
            "Images read or rendered before the first is sent and kept ahead of it. As many as are "
            "sent: no rendering while they are sent",
            (1, 100_000),
            None,
        ),
        (
            "wait_for_subscribers",
            30.0,
            "Longest time to wait for a subscriber of both image topics before the first image, in "
            "seconds; 0: do not wait",
            (0.0, 3600.0),
            None,
        ),
    )
)
