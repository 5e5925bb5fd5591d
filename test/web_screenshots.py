"""Pictures of the viewer's page for docs/: the street by day and by night, and on a phone.

python test/web_screenshots.py docs
"""

import itertools
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from browser_fixtures import Page, chromium, page_url
from ros_fixtures import RosProcess

SHOTS = {  # file: condition of the street, theme, size of the window, whether it is a phone
    "web_day.png": ("day", "light", (1280, 1130), False),
    "web_night.png": ("night", "dark", (1280, 1130), False),
    "web_phone.png": ("night", "dark", (390, 1500), True),
}
STEP = 4
"""Between two levels of a colour; the street's noise makes large files otherwise."""

NUMBER = "return Number(document.querySelector('canvas[data-picture=fused]').dataset.number)"
SETTLED = 8
"""Further frames of the fused picture after which rates and smoothing have settled."""


def main() -> None:
    """Takes all of them."""
    out = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as logs:
        for condition, shots in itertools.groupby(SHOTS.items(), key=lambda shot: shot[1][0]):
            take(condition, dict(shots), out, Path(logs))


def take(condition: str, shots: dict, out: Path, logs: Path) -> None:
    """The pictures of one condition, from one run of the nodes."""
    processes = [
        RosProcess("web_viewer", logs / "viewer", "-p", "port:=0", "-p", "quality:=90"),
        # For a machine of two cores without a GPU.
        RosProcess("fusion_node", logs / "fusion", "-p", "mode:=fast", "-p", "max_side:=256"),
        RosProcess(
            "camera_replay",
            logs / "replay",
            *("-p", f"condition:={condition}", "-p", "rate:=2.0", "-p", "seed:=3"),
            *("-p", "prepared_images:=16"),
        ),
    ]
    try:
        for name, (_, theme, size, phone) in shots.items():
            with chromium(*size, phone=phone) as driver:
                shoot(driver, page_url(processes[0]), theme, out / name)
    finally:
        for process in processes:
            process.kill()


def shoot(driver, url: str, theme: str, path: Path) -> None:
    """One picture, once all of the page is live."""
    page = Page(driver, url)
    page.script("document.documentElement.dataset.theme = arguments[0]", theme)
    page.script("document.getElementById('theme').textContent = arguments[0]", theme.title())
    page.wait_for_motion("fused")
    first = page.script(NUMBER)
    page.wait_for(lambda: page.script(NUMBER) >= first + SETTLED, "rates to settle")
    image = cv2.imdecode(np.frombuffer(driver.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(path), image // STEP * STEP, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(path, f"{path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
