"""The browser page: what it shows, what it costs, and what it refuses."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
from contextlib import asynccontextmanager

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")

import aiohttp
import cv2
from ros_fixtures import PATIENCE

from uaafusion_ros.node.accounting import FrameDrop
from uaafusion_ros.node.diagnostics import Level, Status
from uaafusion_ros.node.pairing import DropReason
from uaafusion_ros.web.classes import read_classes
from uaafusion_ros.web.health import DROP_WORDS, PERIODS, SILENCE, FusionHealth
from uaafusion_ros.web.hub import Hub
from uaafusion_ros.web.pictures import PICTURES, Decoded
from uaafusion_ros.web.protocol import ProtocolError, read_message
from uaafusion_ros.web.server import FILES
from uaafusion_ros.web.serving import PageThread, ServingError
from uaafusion_ros.web.settings import PageSettings

pytestmark = pytest.mark.live

OFTEN = 1000.0
"""Images a second: as often as they come."""


class Served:
    """The page in this process, fed by the test."""

    def __init__(self, **settings):
        self.demands = []
        self.demanded = threading.Condition()
        self.settings = PageSettings(port=0, **{"rate": OFTEN, **settings})
        logger = logging.getLogger("test_web_viewer")

        def make_hub():
            topics = {picture: f"/{picture}" for picture in PICTURES}
            decoders = dict.fromkeys(PICTURES, self.decode)
            return Hub(self.settings, "/uaafusion", topics, decoders, self.on_demand, logger)

        self.page = PageThread(make_hub, self.settings.host, 0, logger)
        self.page.start()

    @staticmethod
    def decode(grey):
        if grey < 0:
            raise ValueError("no pixels, expected some")
        return Decoded(np.full((32, 64), grey, np.uint8), "64 × 32 mono8", 1_500_000_000)

    def on_demand(self, pictures):
        with self.demanded:
            self.demands.append(pictures)
            self.demanded.notify_all()

    def image(self, picture, grey):
        self.page.call(lambda hub: hub.take_image(picture, grey))

    def wait_for_demand(self, *pictures):
        with self.demanded:
            assert self.demanded.wait_for(
                lambda: self.demands and self.demands[-1] == set(pictures), PATIENCE
            ), self.demands

    @asynccontextmanager
    async def browser(self, **headers):
        """A WebSocket as the page opens it, after the first text."""
        headers = {"Origin": self.page.url.rstrip("/"), **headers}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.page.url}live", headers=headers) as connection,
        ):
            yield connection


@pytest.fixture
def served():
    """Makes pages, and ends them."""
    pages = []

    def serve(**settings):
        pages.append(Served(**settings))
        return pages[-1]

    yield serve
    for page in pages:
        assert page.page.close(PATIENCE)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


async def text_of(connection, kind, fits=lambda message: True):
    """The next text of a kind; frames in between are passed over."""
    async for received in connection:
        if received.type == aiohttp.WSMsgType.TEXT:
            message = json.loads(received.data)
            if message["type"] == kind and fits(message):
                return message
    raise AssertionError(f"closed with {connection.close_code} before a {kind}")


async def next_frame(connection):
    """Number of the next frame, and its grey level."""
    async for received in connection:
        if received.type == aiohttp.WSMsgType.BINARY:
            jpeg = np.frombuffer(received.data[13:], np.uint8)
            number = int.from_bytes(received.data[1:5], "big")
            return number, round(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE).mean())
    raise AssertionError("closed before a frame")


def test_the_server_part_needs_neither_ros_nor_pytorch():
    code = (
        "import sys, uaafusion_ros.web.serving; "
        "sys.exit(' '.join({'rclpy', 'torch'} & sys.modules.keys()) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "expected JSON"),
        ("[" * 1000, "expected JSON"),
        ("7", "expected an object of type look or seen"),
        ('{"type": "set_parameter", "name": "model"}', "expected an object of type look or seen"),
        ('{"type": ["look"]}', "expected an object of type look or seen"),
        ('{"type": "look"}', "expected type and pictures"),
        ('{"type": "look", "pictures": ["fused"], "rate": 60}', "expected type and pictures"),
        ('{"type": "look", "pictures": "fused"}', "expected a list"),
        ('{"type": "look", "pictures": ["depth"]}', "expected one of infrared, visible, fused"),
        ('{"type": "look", "pictures": [{}]}', "expected one of infrared, visible, fused"),
        ('{"type": "seen", "picture": null}', "expected one of infrared, visible, fused"),
    ],
)
def test_unknown_messages_are_answered_with_what_is_known_and_the_end(served, text, named):
    with pytest.raises(ProtocolError, match=named):
        read_message(text)

    async def say():
        async with served().browser() as connection:
            await connection.send_str(text)
            assert named in (await text_of(connection, "error"))["message"]
            assert (await connection.receive()).type == aiohttp.WSMsgType.CLOSE
            assert connection.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION

    run(say())


def test_binary_long_and_very_long_messages_end_the_connection(served):
    page = served()

    async def say(send, code):
        async with page.browser() as connection:
            await send(connection)
            while not connection.closed:
                await connection.receive()
            assert connection.close_code == code

    codes = aiohttp.WSCloseCode
    run(say(lambda connection: connection.send_bytes(b"look"), codes.UNSUPPORTED_DATA))
    run(say(lambda connection: connection.send_str(" " * 2000), codes.MESSAGE_TOO_BIG))
    run(say(lambda connection: connection.send_str(" " * 10**6), codes.MESSAGE_TOO_BIG))


def test_paths_methods_hosts_and_origins_that_are_not_known_are_refused(served):
    url = served(names=("robot.example",)).page.url

    async def ask():
        async with aiohttp.ClientSession() as session:

            async def status(method, path, **headers):
                async with session.request(method, url + path, headers=headers) as answer:
                    policy = answer.headers["Content-Security-Policy"]
                    assert "default-src 'self'" in policy and "unsafe" not in policy
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    return answer.status, await answer.text()

            for path in FILES:
                assert (await status("GET", path[1:]))[0] == 200
            code, words = await status("GET", "parameters")
            assert code == 404 and "known are /, /style.css" in words
            assert (await status("GET", "%2e%2e/server.py"))[0] == 404
            for method in ("POST", "PUT", "DELETE", "OPTIONS"):
                assert (await status(method, ""))[0] == 405
                assert (await status(method, "live"))[0] == 405
            for host in ("localhost:1", "127.0.0.1", "[::1]:8080", "192.0.2.7", "ROBOT.example"):
                assert (await status("GET", "", Host=host))[0] == 200, host
            for host in (
                "evil.example",
                "localhost.evil.example",
                "127.0.0.1.evil.example",
                "[",
                "",
            ):
                assert (await status("GET", "", Host=host))[0] in (400, 403), host
            socket_headers = {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            }
            for origin in (
                {},
                {"Origin": "null"},
                {"Origin": "http://evil.example"},
                {"Origin": "http://localhost:1"},
                {"Origin": "http://["},
            ):
                code, words = await status("GET", "live", **socket_headers, **origin)
                assert code == 403 and "expected the page of this host" in words, origin

    run(ask())


def test_one_browser_more_than_may_is_told_so(served):
    page = served(viewers=1)

    async def look():
        async with page.browser() as first:
            await text_of(first, "hello")
            async with page.browser() as second:
                assert "1 browsers look already" in (await text_of(second, "error"))["message"]
                assert (await second.receive()).type == aiohttp.WSMsgType.CLOSE
                assert second.close_code == aiohttp.WSCloseCode.TRY_AGAIN_LATER
        async with page.browser() as third:
            await text_of(third, "hello")

    run(look())


async def look_at(connection, *pictures):
    await connection.send_json({"type": "look", "pictures": pictures})


async def seen(connection, picture):
    await connection.send_json({"type": "seen", "picture": picture})


def test_a_picture_is_asked_for_while_any_browser_shows_it_and_no_longer(served):
    page = served()

    async def look():
        async with page.browser() as one, page.browser() as other:
            await look_at(one, "fused", "infrared")
            await asyncio.to_thread(page.wait_for_demand, "fused", "infrared")
            await look_at(other, "fused")
            await text_of(other, "status", lambda told: told["viewers"] == 2)
            await look_at(one)
            await asyncio.to_thread(page.wait_for_demand, "fused")
        await asyncio.to_thread(page.wait_for_demand)

    run(look())


def test_a_slow_browser_gets_the_newest_image_and_keeps_nobody_waiting(served):
    page = served()

    async def look():
        async with page.browser() as slow, page.browser() as quick:
            for connection in (slow, quick):
                await look_at(connection, "fused")
            await asyncio.to_thread(page.wait_for_demand, "fused")
            await text_of(quick, "status", lambda told: told["viewers"] == 2)
            for number, grey in enumerate((10, 20, 30, 40), start=1):
                page.image("fused", grey)
                assert await next_frame(quick) == (number, grey)
                await seen(quick, "fused")
            # Nothing was said to be seen: after the first image the last waits, the others went.
            assert await next_frame(slow) == (1, 10)
            told = (await text_of(slow, "status"))["pictures"]["fused"]
            assert (told["sent"], told["left_out"]) == (1, 2)
            await seen(slow, "fused")
            assert await next_frame(slow) == (4, 40)

    run(look())


def test_images_are_made_at_the_rate_that_was_set_and_the_newest_of_them(served):
    page = served(rate=0.4)

    async def look():
        async with page.browser() as connection:
            await look_at(connection, "fused")
            await asyncio.to_thread(page.wait_for_demand, "fused")
            page.image("fused", 10)
            assert (await next_frame(connection))[1] == 10
            await seen(connection, "fused")
            for grey in range(100, 200):
                page.image("fused", grey)
            assert await next_frame(connection) == (2, 199)

    run(look())


def test_images_are_shrunk_to_the_longest_side_and_bad_ones_are_told_in_words(served):
    page = served(longest_side=32)

    async def look():
        async with page.browser() as connection:
            await look_at(connection, "visible")
            await asyncio.to_thread(page.wait_for_demand, "visible")
            page.image("visible", -1)
            status = await text_of(
                connection, "status", lambda t: t["pictures"]["visible"]["words"]
            )
            assert "no pixels, expected some" in status["pictures"]["visible"]["words"]
            page.image("visible", 90)
            async for received in connection:
                if received.type == aiohttp.WSMsgType.BINARY:
                    break
            image = cv2.imdecode(np.frombuffer(received.data[13:], np.uint8), cv2.IMREAD_UNCHANGED)
            assert image.shape == (16, 32)
            assert int.from_bytes(received.data[5:13], "big") == 1_500_000_000

    run(look())


def test_the_page_ends_while_browsers_look_and_they_are_told(served):
    page = served()

    async def look():
        async with page.browser() as silent, page.browser() as connection:
            for each in (silent, connection):
                await look_at(each, "fused")
            await asyncio.to_thread(page.wait_for_demand, "fused")
            page.image("fused", 10)
            assert (await next_frame(connection))[1] == 10
            ending = asyncio.to_thread(page.page.close, PATIENCE)
            assert await asyncio.gather(ending, closed(connection)) == [True, None]

    async def closed(connection):
        while not connection.closed:
            await connection.receive()

    run(look())


def test_an_address_that_is_taken_or_not_ours_is_told_in_a_sentence():
    logger = logging.getLogger("test_web_viewer")
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ServingError, match="is in use"),
    ):
        PageThread(lambda: None, "127.0.0.1", taken.getsockname()[1], logger)
    with pytest.raises(ServingError, match="no address of this machine"):
        PageThread(lambda: None, "192.0.2.1", 0, logger)


def test_the_words_follow_the_fusion_node_from_silence_to_life_and_back():
    now = [100.0]
    health = FusionHealth("/uaafusion", lambda: now[0])
    fine = Status("output", Level.OK, "9.0 Hz", {"rate (Hz)": "9.0"})
    slow = Status("output", Level.WARN, "the model is slower than the cameras")

    def told():
        report = health.report()
        return report["alive"], report["level"], report["words"]

    assert told()[:2] == (False, 2) and "Nothing heard of the fusion node /uaafusion" in told()[2]
    health.hear([fine])
    assert told() == (True, 0, "All is well.")
    assert [f["value"] for f in health.report()["figures"] if f["label"] == "Fused"] == ["9.0"]
    health.hear([fine, slow])
    assert told() == (True, 1, "Output: the model is slower than the cameras")
    now[0] += SILENCE + 1
    assert told()[:2] == (False, 2) and "silent for 4 s" in told()[2]
    assert health.report()["statuses"]  # what it said last stays to be read
    health.hear([fine])
    assert told()[0]
    # Diagnostics that come every 2.9 s are waited for.
    now[0] += 2.9
    health.hear([fine])
    now[0] += 2.9 * PERIODS - 0.1
    assert told()[0]


def test_every_reason_for_which_an_image_is_dropped_has_words():
    assert {reason.value for reason in (*FrameDrop, *DropReason)} == DROP_WORDS.keys()


def test_a_class_list_that_is_none_is_refused():
    good = '{"classes": [{"id": 0, "name": "<b>road</b>", "rgb": [1, 2, 3]}]}'
    assert read_classes(good) == [{"name": "<b>road</b>", "rgb": [1, 2, 3]}]
    for bad in ("", "[]", "{}", '{"classes": [1]}', good.replace("3]", "256]"), "[" * 10**5):
        with pytest.raises(ValueError, match="class list"):
            read_classes(bad)
