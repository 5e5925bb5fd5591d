"""Model files: what is saved comes back; what is damaged or foreign is refused with the reason."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from golden_checkpoint import write_checkpoint
from safetensors.torch import save_file
from test_network import SMALL, images

from uaafusion_ros.network.authors import import_authors_checkpoint
from uaafusion_ros.network.checkpoint import (
    CheckpointError,
    CheckpointInfo,
    load_checkpoint,
    read_info,
    save_checkpoint,
)
from uaafusion_ros.network.unfolding import UAAFusion


@pytest.fixture()
def saved(tmp_path: Path) -> tuple[Path, UAAFusion]:
    torch.manual_seed(0)
    model = UAAFusion(SMALL).eval()
    path = tmp_path / "m.safetensors"
    info = CheckpointInfo(config=SMALL, name="m", licence="Apache-2.0", metrics={"miou": 0.5})
    save_checkpoint(path, model, info)
    return path, model


def test_a_checkpoint_restores_the_model_and_its_description(saved) -> None:
    path, model = saved
    restored, info = load_checkpoint(path)
    assert info.config == SMALL
    assert (info.name, info.licence, info.metrics) == ("m", "Apache-2.0", {"miou": 0.5})
    assert read_info(path) == info
    pair = images(48, 40)
    found, wanted = restored.eval()(*pair), model(*pair)
    torch.testing.assert_close(found.fused_B1HW, wanted.fused_B1HW)


@pytest.mark.parametrize("kept", [0, 5, 1000, -10])
def test_a_cut_off_file_is_refused(saved, kept: int) -> None:
    path, _ = saved
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"not a whole safetensors file"):
        load_checkpoint(path)


def test_missing_and_foreign_files_are_refused_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_checkpoint(tmp_path)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(1)}, foreign)
    with pytest.raises(CheckpointError, match="without the 'uaafusion' metadata"):
        load_checkpoint(foreign)


def rewrite(path: Path, change_header=None, change_state=None) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["uaafusion"])
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if change_header:
        change_header(header)
    if change_state:
        change_state(state)
    save_file(state, path, metadata={"uaafusion": json.dumps(header)})


def test_weights_that_do_not_fit_are_refused_with_what_differs(saved) -> None:
    path, _ = saved
    rewrite(path, change_header=lambda header: header["config"].update(channels=16))
    with pytest.raises(
        CheckpointError, match=r"infrared_entry\.0\.weight is \[4, .*expected \[8, .* more"
    ):
        load_checkpoint(path)


def test_a_missing_weight_is_named(saved) -> None:
    path, _ = saved
    rewrite(path, change_state=lambda state: state.pop("step_sizes"))
    with pytest.raises(CheckpointError, match="missing: step_sizes"):
        load_checkpoint(path)


def test_weights_with_nan_are_refused(saved) -> None:
    path, _ = saved
    rewrite(path, change_state=lambda state: state["step_sizes"].fill_(float("nan")))
    with pytest.raises(CheckpointError, match=r"NaN.*step_sizes"):
        load_checkpoint(path)


def test_a_newer_format_is_refused(saved) -> None:
    path, _ = saved
    rewrite(path, change_header=lambda header: header.update(format="uaafusion-9"))
    with pytest.raises(CheckpointError, match="uaafusion-9"):
        load_checkpoint(path)


def test_importing_turns_the_data_step_off_unless_asked(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "authors.pth", seed=1)
    assert (import_authors_checkpoint(source).step_sizes == 0).all()
    kept = import_authors_checkpoint(source, data_step=True).step_sizes
    torch.testing.assert_close(kept.detach(), torch.linspace(0.3, 0.1, 5))


def test_a_changed_authors_checkpoint_is_refused_with_what_differs(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "authors.pth", seed=1)
    content = torch.load(source, weights_only=True)
    del content["model_s"]["shortcut_conv.0.weight"]
    content["model_f"]["extra.weight"] = torch.zeros(2)
    content["model_f"]["blockflow.0.conv3.conv_unit.2.bias"] = torch.zeros(7)
    torch.save(content, source)
    with pytest.raises(CheckpointError) as caught:
        import_authors_checkpoint(source)
    message = str(caught.value)
    assert "segmentation.decoder.shortcut.conv.weight" in message
    assert "extra.weight" in message
    assert "stages.0.gated.2.bias is [7], expected [32]" in message


class Harmful:
    """Creates a file when a pickle of it is loaded by the pickle module."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_harmful_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    trace, source = tmp_path / "trace", tmp_path / "harmful.pth"
    source.write_bytes(pickle.dumps({"model_f": Harmful(trace), "model_s": {}}))
    with pytest.raises(CheckpointError):
        import_authors_checkpoint(source)
    assert not trace.exists()
    pickle.loads(source.read_bytes())
    assert trace.exists(), "the file above was harmless, so nothing was tested"


@pytest.mark.parametrize("kept", [0, 100, -500])
def test_a_cut_off_authors_checkpoint_is_refused(tmp_path: Path, kept: int) -> None:
    source = write_checkpoint(tmp_path / "authors.pth", seed=1)
    source.write_bytes(source.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="not a whole PyTorch checkpoint"):
        import_authors_checkpoint(source)
