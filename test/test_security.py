"""Files and messages made to harm: nothing in them is executed, no memory is reserved for them."""

import os
import pickle
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from uaafusion_ros.inference.models import read_model
from uaafusion_ros.inference.opening import check_model
from uaafusion_ros.network.authors import import_authors_checkpoint
from uaafusion_ros.network.checkpoint import CheckpointError, load_checkpoint, read_info


class Harm:
    """Makes a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self._proof),)


@pytest.fixture
def proof(tmp_path):
    """What must not exist afterwards."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists(), "the file's code was executed"


def test_pickles_are_never_executed(tmp_path, proof):
    plain, archive = tmp_path / "plain.safetensors", tmp_path / "archive.pth"
    plain.write_bytes(pickle.dumps(Harm(proof)))
    torch.save({"model_f": Harm(proof), "model_s": {}}, archive)
    for path in (plain, archive):
        for read in (read_model, check_model, load_checkpoint, read_info):
            with pytest.raises(CheckpointError, match="not a whole safetensors file"):
                read(path)
        with pytest.raises(
            CheckpointError, match="not a whole PyTorch checkpoint of plain tensors"
        ):
            import_authors_checkpoint(path)


def test_a_state_of_training_that_is_a_pickle_is_never_executed(tmp_path, proof):
    from uaafusion_ros.training.state import StateError, load_state

    path = tmp_path / "state.pt"
    torch.save({"step": Harm(proof)}, path)
    with pytest.raises(StateError, match="not a whole training state"):
        load_state(path)


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<Q", 10 * 2**30) + b'{"a":',
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 90 * 2**20) + b"{" * 4096,
    ],
    ids=["10 GB", "8 EiB", "longer than the file"],
)
def test_a_model_file_that_claims_a_huge_header_is_refused(tmp_path, head):
    path = tmp_path / "huge.safetensors"
    path.write_bytes(head)
    for read in (read_model, check_model):
        with pytest.raises(CheckpointError, match="not a whole safetensors file"):
            read(path)


def test_a_description_of_a_monstrous_model_is_refused_by_its_weights(tiny_model, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(tiny_model, framework="pt") as file:
        metadata = file.metadata()
    metadata["uaafusion"] = metadata["uaafusion"].replace('"channels": 8', '"channels": 80000000')
    path = tmp_path / "monster.safetensors"
    save_file({"step_sizes": torch.zeros(2)}, path, metadata=metadata)
    for read in (check_model, read_model):
        with pytest.raises(CheckpointError):
            read(path)


def png_bomb(side, depth=8, colour=0):
    """A whole PNG file of zeros: its kilobytes become gigabytes."""
    channels = {0: 1, 6: 4}[colour]
    row = b"\0" + bytes(side * channels * depth // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    chunks = [
        b"IHDR" + struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0),
        b"IDAT" + data,
        b"IEND",
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
    )


def jpeg_bomb():
    """A whole JPEG file whose header claims 65000x65000 pixels."""
    data = bytearray(cv2.imencode(".jpg", np.zeros((8, 8), np.uint8))[1].tobytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 65000, 65000)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "form"),
    [(png_bomb(9000), "png"), (png_bomb(6000, 16, 6), "png"), (jpeg_bomb(), "jpeg")],
    ids=["81 megapixels", "16 bits and 4 channels", "jpeg"],
)
def test_compressed_bombs_are_refused_before_they_are_decoded(monkeypatch, data, form):
    pytest.importorskip("sensor_msgs")
    from sensor_msgs.msg import CompressedImage

    from uaafusion_ros.node.compressed_images import compressed_visible_array
    from uaafusion_ros.node.images import ImageError

    def never(*arguments):
        raise AssertionError("decoded")

    monkeypatch.setattr(cv2, "imdecode", never)
    message = CompressedImage(format=form)
    message.data.frombytes(data)
    assert len(data) < 2_000_000
    with pytest.raises(ImageError, match="expected at most"):
        compressed_visible_array(message)


def test_a_raw_image_that_claims_more_than_it_brings_is_refused():
    pytest.importorskip("sensor_msgs")
    from sensor_msgs.msg import Image

    from uaafusion_ros.node.images import ImageError, infrared_array

    for height, width, step in (
        (2**31, 2**31, 2**31),
        (2**32 - 1, 1, 1),
        (1, 2**32 - 1, 2**32 - 1),
    ):
        message = Image(height=height, width=width, step=step, encoding="mono8")
        message.data.frombytes(bytes(1000))
        with pytest.raises(ImageError, match="expected"):
            infrared_array(message)
