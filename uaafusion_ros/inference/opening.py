"""Any model file, ready to run: checkpoints by PyTorch, exported graphs by onnxruntime."""

from __future__ import annotations

from uaafusion_ros.inference.backends import Backend, TorchBackend
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.models import ModelFile, check_checkpoint, find_model, read_model
from uaafusion_ros.inference.onnx_backend import OnnxBackend
from uaafusion_ros.inference.onnx_file import is_onnx, read_onnx
from uaafusion_ros.inference.providers import ProviderSettings
from uaafusion_ros.network.checkpoint import CheckpointInfo


def open_model(
    name_or_path: str = "",
    *,
    device: str = "auto",
    precision: str = "float32",
    providers: ProviderSettings | None = None,
    compile_size: tuple[int, int] | None = None,
    mask_sizes: tuple[float, ...] = (),
) -> tuple[Backend, CheckpointInfo, ModelFile]:
    """Return a model on its device, its description and its file.

    Args:
        providers: for exported graphs; checkpoints have none.
        compile_size: for checkpoints, see `TorchBackend`; exported graphs are compiled.
        mask_sizes: at which masks are read; () is as the file says. Of an exported graph they are
            given.

    Raises:
        CheckpointError: the file is missing, damaged or of another kind.
        SettingsError: a device, precision, provider or reading of masks that cannot be had.
    """
    path = find_model(name_or_path)
    if is_onnx(path):
        import torch

        file = read_onnx(path)
        if mask_sizes and mask_sizes != file.info.config.mask_sizes:
            raise SettingsError(
                f"mask_sizes is {list(mask_sizes)}, but {path} was exported to read masks at "
                f"{list(file.info.config.mask_sizes)}; leave it out, or export the model again "
                "with --mask-sizes"
            )
        # As many threads as PyTorch would take, whoever has limited them.
        backend = OnnxBackend(file, device, precision, providers, threads=torch.get_num_threads())
        return backend, file.info, ModelFile(path, file.sha256)
    model, info, source = read_model(name_or_path, mask_sizes)
    return TorchBackend(model, device, precision, compile_size), info, source


def check_model(name_or_path: str = "") -> CheckpointInfo:
    """Check quickly what a file says of itself; see `check_checkpoint`.

    Raises:
        CheckpointError: with what was found, what was expected, what to do.
    """
    path = find_model(name_or_path)
    return read_onnx(path).info if is_onnx(path) else check_checkpoint(name_or_path)
