"""The browser page in a real Chromium, with the real nodes and a replayed camera over DDS."""

import re
import signal
import socket

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")

import cv2
import numpy as np
from browser_fixtures import Page, browser, page_url
from rclpy.qos import qos_profile_sensor_data
from ros_fixtures import RosProcess
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from uaafusion_ros.node.images import image_message
from uaafusion_ros.node.outputs import OUTPUT_DEPTH
from uaafusion_ros.node.web_viewer_images import page_decoders
from uaafusion_ros.web.pictures import PICTURES

pytestmark = pytest.mark.live

__all__ = ["browser"]

FUSED = "/uaafusion/fused/image"
ATTRIBUTION = "/uaafusion/attribution/overlay"
CAMERAS = ("width:=160", "height:=128", "rate:=5.0", "prepared_images:=4")
OTHER_MESSAGE = """
const done = arguments[1];
const socket = new WebSocket(`ws://${location.host}/live`);
let words = "";
socket.onopen = () => socket.send(arguments[0]);
socket.onmessage = ({data}) => {
  const message = typeof data === "string" ? JSON.parse(data) : {};
  if (message.type === "error") words = message.message;
};
socket.onclose = ({code}) => done([code, words]);
"""


def parameters(*values):
    return [word for value in values for word in ("-p", value)]


class Robot:
    """Cameras, fusion node and viewer as processes."""

    def __init__(self, logs, model):
        self._logs, self._model = logs, model
        self._processes = []

    def start(self):
        self.start_fusion()
        self._start("camera_replay", *CAMERAS)
        self.start_viewer(0)
        self.url = page_url(self.viewer)

    def start_fusion(self):
        self.fusion = self._start("fusion_node", f"model:={self._model}", "diagnostics_period:=0.5")

    def start_viewer(self, port):
        self.viewer = self._start("web_viewer", f"port:={port}", "rate:=20.0", "qualty:=50")

    def _start(self, module, *values):
        log = self._logs / f"{len(self._processes)}.log"
        self._processes.append(RosProcess(module, log, *parameters(*values)))
        return self._processes[-1]

    def end(self):
        for process in self._processes:
            process.kill()


@pytest.fixture(scope="module")
def robot(ros, tiny_model, tmp_path_factory):
    robot = Robot(tmp_path_factory.mktemp("robot"), tiny_model)
    try:
        robot.start()
        yield robot
    finally:
        robot.end()


@pytest.fixture
def page(browser, robot):
    page = Page(browser, robot.url)
    yield page
    browser.get("about:blank")


def test_the_page_shows_moving_images_and_live_numbers_and_the_classes(page):
    for picture in PICTURES:
        page.wait_for_motion(picture)
    page.wait_for(lambda: page.text("#state") in ("Live", "Warning"), "the state")
    for figure in ("Infrared", "Visible", "Fused", "Latency", "In the model"):
        page.wait_for(lambda figure=figure: page.figure(figure) > 0, f"the figure {figure}")
    latency = page.figure("Latency")
    page.wait_for(lambda: page.figure("Latency") not in (latency, -1), "another latency")
    assert "active: tiny on cpu" in page.text("#statuses")
    assert "Hz on /infrared/image_raw" in page.text("#statuses")
    page.wait_for(
        lambda: re.findall(r"\w+", page.text("#classes")) == ["unlabelled", "road", "person"],
        "the classes",
    )
    assert "160 × 128 bgr8" in page.text('[data-caption="visible"]')
    assert page.complaints() == []


def test_only_what_is_on_screen_is_subscribed_to(page, client):
    def subscribers():
        return client.node.count_subscribers(ATTRIBUTION)

    page.wait_for_motion("attribution")
    client.wait_for(lambda: subscribers() == 1, "the viewer to be seen on the graph")
    page.script("document.querySelector('[data-tile=attribution] input').click()")
    client.wait_for(lambda: subscribers() == 0, "the attribution to be left alone")
    page.wait_for(lambda: "Not live" in page.text('[data-words="attribution"]'), "the words")
    page.wait_for_motion("segmentation")
    page.script("document.querySelector('[data-tile=attribution] input').click()")
    client.wait_for(lambda: subscribers() == 1, "the attribution again")
    page.wait_for_motion("attribution")
    page.driver.get("about:blank")
    client.wait_for(lambda: subscribers() == 0, "nobody to look")


def test_the_slider_wipes_between_infrared_and_fused_by_mouse_and_keys(page):
    from selenium.webdriver import ActionChains, Keys

    def cut():
        return page.script(
            "return getComputedStyle(document.querySelector('.wipe .over')).clipPath"
        )

    slider = page.driver.find_element("id", "wipe")
    page.wait_for_motion("fused")
    assert "50%" in cut()
    box = slider.rect
    for part, percent in ((0.25, 25), (-0.25, 75)):
        ActionChains(page.driver).move_to_element_with_offset(
            slider, round(-part * (box["width"] - 44)), 0
        ).click().perform()
        assert abs(int(slider.get_attribute("value")) - percent) <= 1
        assert f"{100 - int(slider.get_attribute('value'))}%" in cut()
    slider.send_keys(Keys.END)
    assert slider.get_attribute("aria-valuetext") == "100 % infrared, 0 % fused"
    slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    assert slider.get_attribute("aria-valuetext") == "1 % infrared, 99 % fused"


def test_a_killed_fusion_node_is_told_and_its_return_is_seen_by_itself(page, robot):
    page.wait_for_motion("fused")
    robot.fusion.process.send_signal(signal.SIGKILL)
    robot.fusion.wait()
    page.wait_for(lambda: page.text("#state") == "No fusion node", "the state")
    assert "The fusion node /uaafusion has been silent for" in page.text("#banner")
    page.wait_for(lambda: "silent" in page.text('.wipe [data-words="fused"]'), "the words")
    page.wait_for_motion("visible")  # the cameras go on
    robot.start_fusion()
    page.wait_for_motion("fused")
    page.wait_for(lambda: page.text("#state") in ("Live", "Warning"), "the state")
    page.wait_for(lambda: page.text('.wipe [data-words="fused"]') == "", "no more words")
    assert page.text("#banner") == ""


def test_a_viewer_ends_cleanly_while_somebody_looks_who_calls_until_it_is_back(page, robot):
    page.wait_for_motion("infrared")
    assert robot.viewer.interrupt(signal.SIGTERM) == 0
    assert "Traceback" not in robot.viewer.output()
    page.wait_for(lambda: page.text("#state") == "Not connected", "the state")
    assert "The connection to the viewer is lost" in page.text("#banner")
    robot.start_viewer(int(robot.url.rstrip("/").rsplit(":", 1)[1]))
    page.wait_for_motion("infrared")
    page.wait_for(lambda: page.text("#state") in ("Live", "Warning"), "the state")


def test_the_viewer_follows_the_fusion_node_to_compressed_images(page, client):
    def switch(transport):
        assert client.change_state("deactivate")
        assert client.set_parameter("input_transport", transport) == ""
        assert client.change_state("activate")

    def send():
        image = np.random.default_rng(page.sends).integers(0, 255, (96, 128, 3)).astype(np.uint8)
        data = cv2.imencode(".png", image)[1].tobytes()
        client.publish(topic, CompressedImage(format="bgr8; png compressed bgr8", data=data))
        page.sends += 1
        client.spin(0.05)
        return "128 × 96" in page.text('[data-caption="visible"]')

    topic, page.sends = "visible/image_raw/compressed", 0
    page.wait_for_motion("visible")
    switch("compressed")
    try:
        page.wait_for(send, "a compressed image on the page")
    finally:
        switch("raw")
    page.wait_for(lambda: "160 × 128" in page.text('[data-caption="visible"]'), "raw images")


def test_a_viewer_that_hangs_does_not_hold_up_the_fusion(page, robot, client):
    for picture in PICTURES:
        page.wait_for_motion(picture)
    client.subscribe(FUSED, Image, qos_profile_sensor_data)
    robot.viewer.process.send_signal(signal.SIGSTOP)
    try:
        client.received[FUSED].clear()
        enough = 3 * OUTPUT_DEPTH  # more than a publisher keeps for a subscriber
        client.wait_for(lambda: len(client.received[FUSED]) > enough, "others to be served")
    finally:
        robot.viewer.process.send_signal(signal.SIGCONT)
        client.unsubscribe(FUSED)
    page.wait_for_motion("fused")


def test_a_script_on_the_page_that_says_something_else_is_answered_and_cut_off(page):
    message = '{"type": "set_parameter", "name": "model", "value": "/tmp/x"}'
    code, words = page.driver.execute_async_script(OTHER_MESSAGE, message)
    assert code == 1008 and "expected an object of type look or seen" in words
    page.wait_for_motion("visible")


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_wider_than_the_screen(page, width):
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 760, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    page.wait_for_motion("fused")
    page.wait_for(lambda: page.figure("Fused") > 0, "the figures")
    assert page.script("return document.documentElement.scrollWidth") == width
    page.wait_for_motion("attribution")


def test_a_port_in_use_is_told_in_a_sentence(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        viewer = start("web_viewer", *parameters(f"port:={taken.getsockname()[1]}"))
        assert viewer.wait() == 1
    assert "is in use" in viewer.output() and "parameter port" in viewer.output()
    assert "Traceback" not in viewer.output()


def test_unknown_parameters_are_told_with_near_matches_and_bad_values_refused(robot, start):
    told = "unknown parameter 'qualty' is ignored; did you mean quality?"
    assert told in robot.viewer.output()
    viewer = start("web_viewer", *parameters("port:=0", "quality:=500"))
    assert viewer.wait() == 1
    assert "parameter quality is 500, expected 1 to 100" in viewer.output()


def test_thermal_counts_are_shown_by_the_gain_control():
    counts = np.linspace(29000, 31000, 64 * 48).reshape(48, 64).astype(np.uint16)
    decoded = page_decoders()["infrared"](image_message(counts, "mono16", Header()))
    assert decoded.array.dtype == np.uint8 and decoded.description == "64 × 48 mono16"
    assert decoded.array.min() < 5 and decoded.array.max() > 220
