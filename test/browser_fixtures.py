"""A real Chromium without a window, and what can be asked of the viewer's page in it.

Where no browser is needed to look, a WebSocket does.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from ros_fixtures import PATIENCE, RosProcess

from uaafusion_ros.web.pictures import PICTURES

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DRIVER = ("chromedriver", "/usr/lib/chromium-browser/chromedriver")

CANVAS = 'canvas[data-picture="{}"]:not(.over)'
PIXELS = """
const canvas = document.querySelector(arguments[0]);
if (!canvas.dataset.number) return "";
const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
let sum = 0;
for (let at = 0; at < data.length; at += 4) sum = (31 * sum + data[at + 1]) | 0;
return `${canvas.width}x${canvas.height} ${sum}`;
"""


def installed(names: tuple[str, ...]) -> str:
    """The first of some programs that is there; empty if none is."""
    return next((path for name in names if (path := shutil.which(name))), "")


def page_url(viewer: RosProcess) -> str:
    """Where a viewer serves, as it says itself."""
    end = time.monotonic() + PATIENCE
    while " is on http" not in (output := viewer.output()):
        assert viewer.process.poll() is None and time.monotonic() < end, output
        time.sleep(0.05)
    return output.partition(" is on ")[2].splitlines()[0]


@contextlib.asynccontextmanager
async def looking_at_all(url: str) -> AsyncIterator[None]:
    """Somebody looks at every picture of a viewer, as the page does on a very high screen."""
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}live", origin=url.rstrip("/")) as connection,
    ):
        await connection.send_json({"type": "look", "pictures": list(PICTURES)})
        yield


class Page:
    """The viewer's page in a browser."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        driver.get(url)

    def text(self, selector: str) -> str:
        """The visible text of the first element that fits."""
        return self.driver.execute_script(
            "return document.querySelector(arguments[0])?.innerText ?? ''", selector
        )

    def figure(self, label: str) -> float:
        """A number of the page; -1 where there is none."""
        words = self.text(f'[data-figure="{label}"]').split()
        return float(words[0]) if words and words[0] != "–" else -1.0

    def pixels(self, picture: str) -> str:
        """Size and a checksum of what a canvas shows; empty before its first frame."""
        return self.driver.execute_script(PIXELS, CANVAS.format(picture))

    def script(self, source: str, *arguments: object) -> Any:
        """What a script on the page returns."""
        return self.driver.execute_script(source, *arguments)

    def show(self, selector: str) -> None:
        """Scrolls until an element is to be seen."""
        self.script(
            "document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector
        )

    def wait_for(self, condition: Callable[[], Any], what: str) -> Any:
        """Waits until ``condition`` is true; returns its value."""
        end = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < end, (
                f"waited {PATIENCE:.0f} s in vain for {what}; the page says {self.text('body')!r}"
            )
            time.sleep(0.05)
        return value

    def wait_for_motion(self, picture: str) -> None:
        """Scrolls to a picture, since none is sent that is not to be seen, until it changes."""
        self.show(CANVAS.format(picture))
        first = self.wait_for(lambda: self.pixels(picture), f"the picture {picture}")
        self.wait_for(lambda: self.pixels(picture) != first, f"{picture} to move")

    def complaints(self) -> list[str]:
        """What the browser's console holds of errors, refusals by the page's policy included."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


@contextlib.contextmanager
def chromium(width: int = 1280, height: int = 900, *, phone: bool = False) -> Iterator[Any]:
    """A browser of Debian's, driven by Debian's driver; nothing is downloaded.

    Args:
        phone: with touch and a phone's density.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = installed(CHROMIUM)
    for switch in (
        "--headless=new",
        "--no-sandbox",  # tests in containers run as root
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--hide-scrollbars",
        f"--window-size={width},{height}",
    ):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(installed(DRIVER)))
    try:
        driver.set_script_timeout(PATIENCE)
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 2 if phone else 1,
                "mobile": phone,
            },
        )
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def browser():
    """A Chromium for one module."""
    pytest.importorskip("selenium", reason="needs selenium (extra test)")
    if not installed(CHROMIUM) or not installed(DRIVER):
        pytest.skip("needs Chromium and its driver: apt install chromium chromium-driver")
    with chromium() as driver:
        yield driver
