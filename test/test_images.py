"""Image messages become arrays exactly, or are refused with a reason."""

import struct
import zlib

import cv2
import numpy as np
import pytest

pytest.importorskip("sensor_msgs")

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from uaafusion_ros.node import images
from uaafusion_ros.node.compressed_images import (
    check_compressed,
    compressed_infrared_array,
    compressed_visible_array,
)
from uaafusion_ros.node.images import (
    ImageError,
    check_image,
    image_array,
    image_message,
    infrared_array,
    is_constant,
    visible_array,
)

LAYOUTS = [
    ("mono8", np.uint8, 1),
    ("8UC1", np.uint8, 1),
    ("mono16", np.uint16, 1),
    ("16UC1", np.uint16, 1),
    ("32FC1", np.float32, 1),
    ("bgr8", np.uint8, 3),
    ("rgb8", np.uint8, 3),
    ("8UC3", np.uint8, 3),
    ("bgra8", np.uint8, 4),
    ("rgba8", np.uint8, 4),
]


@pytest.fixture(autouse=True)
def without_cv_bridge(monkeypatch):
    monkeypatch.setattr(images, "cv_bridge_or_none", lambda: None)


def pixels(dtype, channels, height=5, width=7):
    rng = np.random.default_rng(3)
    shape = (height, width) if channels == 1 else (height, width, channels)
    return rng.integers(0, 200, shape).astype(dtype) * (3 if np.dtype(dtype).itemsize > 1 else 1)


def wire(array, encoding, *, padding=0, big_endian=False):
    """The message as a driver with padded rows and any byte order would write it."""
    array = array.astype(array.dtype.newbyteorder(">" if big_endian else "<"))
    rows = array.reshape(array.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    message = Image(height=array.shape[0], width=array.shape[1], encoding=encoding)
    message.step, message.is_bigendian = rows.shape[1], int(big_endian)
    message.data.frombytes(rows.tobytes())
    return message


@pytest.mark.parametrize(("encoding", "dtype", "channels"), LAYOUTS)
@pytest.mark.parametrize("padding", [0, 12])
@pytest.mark.parametrize("big_endian", [False, True])
def test_pixels_survive_padding_and_byte_order(encoding, dtype, channels, padding, big_endian):
    expected = pixels(dtype, channels)
    array = image_array(wire(expected, encoding, padding=padding, big_endian=big_endian))
    assert array.dtype == np.dtype(dtype) and array.dtype.isnative
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(("encoding", "dtype", "channels"), LAYOUTS)
def test_what_is_written_reads_back(encoding, dtype, channels):
    expected = pixels(dtype, channels)[::-1]  # not contiguous
    header = Header(frame_id="camera")
    message = image_message(expected, encoding, header)
    assert message.header == header
    assert message.step * message.height == len(message.data)
    np.testing.assert_array_equal(image_array(message), expected)


def test_reading_makes_no_copy():
    message = wire(pixels(np.uint8, 3), "bgr8", padding=3)
    assert np.shares_memory(image_array(message), np.frombuffer(message.data, np.uint8))


def test_visible_colours_come_as_bgr():
    bgr = pixels(np.uint8, 3)
    rgba = np.dstack([bgr[:, :, ::-1], np.full(bgr.shape[:2], 9, np.uint8)])
    for message in (wire(bgr[:, :, ::-1].copy(), "rgb8", padding=5), wire(rgba, "rgba8")):
        np.testing.assert_array_equal(visible_array(message), bgr)


def mosaic(bgr, pattern):
    """What a sensor behind a colour filter of that pattern sees of an image."""
    array = np.empty(bgr.shape[:2], bgr.dtype)
    for place, colour in enumerate(pattern):
        rows, columns = np.s_[place // 2 :: 2], np.s_[place % 2 :: 2]
        array[rows, columns] = bgr[rows, columns, "bgr".index(colour)]
    return array


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(("bits", "big_endian"), [(8, False), (16, False), (16, True)])
def test_bayer_mosaics_come_as_bgr(pattern, bits, big_endian):
    bgr = np.empty((12, 16, 3), np.uint8)
    bgr[:] = (20, 90, 200)
    raw = mosaic(bgr, pattern).astype(f"u{bits // 8}") * (1 if bits == 8 else 256)
    message = wire(raw, f"bayer_{pattern}{bits}", padding=4, big_endian=big_endian)
    np.testing.assert_array_equal(visible_array(message), bgr)
    assert infrared_array(message).shape == (12, 16)


@pytest.mark.parametrize("encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2"])
def test_yuv_of_half_the_colour_resolution_comes_as_bgr(encoding):
    bgr = np.repeat(np.random.default_rng(1).integers(40, 200, (6, 8, 3)), 2, axis=1)
    bgr = bgr.astype(np.uint8)
    luma, red, blue = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb).astype(np.float32))
    luma = 16 + luma * 219 / 255  # video range, as cameras send
    red, blue = (128 + (plane - 128) * 224 / 255 for plane in (red, blue))
    chroma = np.where(np.arange(16) % 2 == 0, blue, red)
    first, second = (chroma, luma) if encoding in ("uyvy", "yuv422") else (luma, chroma)
    packed = np.rint(np.dstack([first, second])).astype(np.uint8)
    found = visible_array(wire(packed, encoding, padding=6))
    assert np.abs(found.astype(int) - bgr).max() <= 4


def test_sixteen_bit_colours_keep_their_high_bytes():
    bgr = pixels(np.uint8, 3)
    message = wire(bgr[:, :, ::-1].astype(np.uint16) * 256 + 17, "rgb16", big_endian=True)
    np.testing.assert_array_equal(visible_array(message), bgr)


def test_sixteen_bit_visible_keeps_its_high_byte():
    message = wire(np.array([[0, 256, 65535]], np.uint16), "mono16")
    np.testing.assert_array_equal(visible_array(message), [[0, 1, 255]])


def test_grey_infrared_published_in_colour_is_grey_again():
    grey = pixels(np.uint8, 1)
    np.testing.assert_array_equal(infrared_array(wire(np.dstack([grey] * 3), "rgb8")), grey)


def test_infrared_counts_are_untouched():
    counts = np.array([[1, 30000], [65535, 2]], np.uint16)
    np.testing.assert_array_equal(infrared_array(wire(counts, "16UC1", big_endian=True)), counts)


def broken(**changes):
    message = wire(pixels(np.uint8, 3), "bgr8")
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (broken(height=0), "7x0 pixels"),
        (broken(width=0), "0x5 pixels"),
        (broken(encoding="nv21"), "'nv21', expected one of .*rgba8.* cv_bridge"),
        (broken(encoding="bayer_rggb8"), "7x5 pixels of bayer_rggb8, expected multiples of 2 and"),
        (broken(encoding="uyvy"), "7x5 pixels of uyvy, expected multiples of 2 and 1"),
        (broken(encoding=""), "encoding '', expected one of"),
        (broken(step=20), "step of 20 bytes, expected at least 21"),
        (broken(step=22), "105 bytes of data, expected 110"),
        (broken(height=6), "105 bytes of data, expected 126"),
        (broken(height=4), "105 bytes of data, expected 84"),
        (broken(width=2**31), "step of 21 bytes"),
    ],
)
def test_contradictory_messages_are_refused_with_what_was_expected(message, said):
    with pytest.raises(ImageError, match=said):
        visible_array(message)


def test_float_visible_is_refused():
    with pytest.raises(ImageError, match=r"float32.*visible/image_raw"):
        visible_array(wire(pixels(np.float32, 1), "32FC1"))


def test_other_encodings_go_to_cv_bridge_where_it_is_installed(monkeypatch):
    class Bridge:
        class CvBridge:
            def encoding_to_cvtype2(self, encoding):
                if encoding == "nonsense":
                    raise RuntimeError(encoding)

            def imgmsg_to_cv2(self, message, desired_encoding):
                assert desired_encoding == "bgr8"
                if message.encoding == "nv24":
                    raise KeyError(message.encoding)
                return np.full((message.height, message.width, 3), 7, np.uint8)

    monkeypatch.setattr(images, "cv_bridge_or_none", lambda: Bridge)
    assert (visible_array(broken(encoding="nv21")) == 7).all()
    with pytest.raises(ImageError, match="'nv24' that cv_bridge cannot convert"):
        visible_array(broken(encoding="nv24"))
    with pytest.raises(ImageError, match="'nonsense', expected one of"):
        check_image(broken(encoding="nonsense"))


def compressed(data, form="png"):
    message = CompressedImage(format=form)
    message.data.frombytes(bytes(data))
    return message


def encoded(array, suffix):
    return compressed(cv2.imencode(suffix, array)[1], suffix)


def test_compressed_png_keeps_sixteen_bits():
    counts = pixels(np.uint16, 1) * 300
    np.testing.assert_array_equal(compressed_infrared_array(encoded(counts, ".png")), counts)


def test_compressed_images_come_as_bgr():
    bgr = np.zeros((16, 16, 3), np.uint8)
    bgr[:, :, 2] = 200
    np.testing.assert_array_equal(compressed_visible_array(encoded(bgr, ".png")), bgr)
    jpeg = compressed_visible_array(encoded(bgr, ".jpg"))
    assert np.abs(jpeg.astype(int) - bgr).max() < 6


def png_claiming(width, height):
    """A tiny PNG file whose header claims a huge image."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


def jpeg_claiming(width, height):
    data = bytearray(cv2.imencode(".jpg", np.zeros((8, 8), np.uint8))[1].tobytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return data


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (compressed(png_claiming(100_000, 100_000)), "100000x100000 pixels, expected at most"),
        (compressed(jpeg_claiming(65_000, 65_000), "jpeg"), "65000x65000 pixels, expected at most"),
        (compressed(png_claiming(0, 5)), "0x5 pixels"),
        (compressed(b""), "of 0 bytes"),
        (compressed(b"GIF89a..."), "'47 49 46 .*expected PNG or JPEG"),
        (compressed(b"\x89PNG\r\n\x1a\n"), "cut off"),
        (compressed(b"\xff\xd8\xff\xe0\x00\x10JF", "jpeg"), "cut off"),
        (compressed(b"\0" * 40, "16UC1; compressedDepth png"), "instead of 'compressedDepth'"),
    ],
)
def test_unusable_compressed_data_is_refused_before_decoding(message, said):
    with pytest.raises(ImageError, match=said):
        check_compressed(message)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_cut_off_compressed_data_is_refused(suffix):
    data = cv2.imencode(suffix, pixels(np.uint8, 1, 64, 64))[1].tobytes()
    check_compressed(compressed(data))
    with pytest.raises(ImageError, match="cut off"):
        check_compressed(compressed(data[: len(data) * 3 // 4]))


def test_damaged_compressed_data_is_refused():
    data = cv2.imencode(".png", pixels(np.uint8, 1, 64, 64))[1].tobytes()
    message = compressed(data[:40] + data[-20:])
    check_compressed(message)  # header and end are whole
    with pytest.raises(ImageError, match="cannot decode"):
        compressed_visible_array(message)


def test_constant_images_are_told_from_nearly_constant_ones():
    array = np.full((40, 50), 7, np.uint8)
    assert is_constant(array)
    array[33, 17] = 8
    assert not is_constant(array)
