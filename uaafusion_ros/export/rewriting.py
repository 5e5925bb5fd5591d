"""What is done to a traced graph: less work for the same, half precision, metadata."""

from __future__ import annotations

from typing import Any

import numpy as np

from uaafusion_ros.export.errors import ExportError
from uaafusion_ros.inference.onnx_file import EXPORT_KEY, ExportInfo
from uaafusion_ros.network.checkpoint import CheckpointInfo, description

#: Sums over regions overflow float16 (65504); a logarithm near black and white needs its digits.
_KEPT_IN_FLOAT32 = ["ReduceSum", "ReduceMean", "Log", "Div", "ArgMax"]


def import_onnx() -> Any:
    """Return the module onnx.

    Raises:
        ExportError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ExportError(
            f"exporting needs the package onnx ({error}): pip install 'uaafusion_ros[export]'"
        ) from error
    return onnx


def shorten(content: bytes) -> bytes:
    """Return the graph with nodes that runtimes compute faster, for the same result."""
    onnx = import_onnx()
    model = onnx.load_from_string(content)
    _rank_logits(model.graph)
    _spell_out_softmaxes(model.graph)
    _join_slopes(model.graph)
    return model.SerializeToString()


def _rank_logits(graph: Any) -> None:
    """Take class ids from logits where they were taken from their softmax: the largest is the same.

    At full size these softmaxes were a fifth of a frame on a CPU.
    """
    softmaxes = {node.output[0]: node for node in graph.node if node.op_type == "Softmax"}
    for node in graph.node:
        softmax = softmaxes.get(node.input[0]) if node.op_type == "ArgMax" else None
        if softmax is not None and _attribute(softmax, "axis") == _attribute(node, "axis"):
            node.input[0] = softmax.input[0]
    used = {name for node in graph.node for name in node.input}
    for name, softmax in softmaxes.items():
        if name not in used:
            graph.node.remove(softmax)


def _spell_out_softmaxes(graph: Any) -> None:
    """Compute softmaxes over channels step by step.

    onnxruntime's own takes five times as long on a CPU, as it gathers every pixel's channels first.
    """
    onnx = import_onnx()
    node_of, nodes = onnx.helper.make_node, []
    for node in graph.node:
        if node.op_type != "Softmax" or _attribute(node, "axis") != 1:
            nodes.append(node)
            continue
        (logits,), (result,) = node.input, node.output
        highest, lower, powers, total = (f"{result}/{i}" for i in range(4))
        # In opset 17 the axes are an attribute of ReduceMax, but an input of ReduceSum.
        axes = onnx.numpy_helper.from_array(np.array([1]), f"{result}/axes")
        graph.initializer.append(axes)
        nodes += [
            node_of("ReduceMax", [logits], [highest], name=highest, axes=[1]),
            node_of("Sub", [logits, highest], [lower], name=lower),
            node_of("Exp", [lower], [powers], name=powers),
            node_of("ReduceSum", [powers, axes.name], [total], name=total),
            node_of("Div", [powers, total], [result], name=node.name),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def _join_slopes(graph: Any) -> None:
    """Write a PRelu of one slope as a LeakyRelu, which runtimes compute within a convolution."""
    onnx = import_onnx()
    held = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        slope = held.get(node.input[1]) if node.op_type == "PRelu" else None
        if slope is not None and (values := onnx.numpy_helper.to_array(slope)).size == 1:
            alpha = float(values.item())
            leaky = onnx.helper.make_node(
                "LeakyRelu", node.input[:1], node.output, name=node.name, alpha=alpha
            )
            node.CopyFrom(leaky)
    used = {name for node in graph.node for name in node.input}
    for name in held.keys() - used:
        graph.initializer.remove(held[name])


def _attribute(node: Any, name: str) -> int:
    return next(attribute.i for attribute in node.attribute if attribute.name == name)


def halve(content: bytes) -> bytes:
    """Return the graph with weights and arithmetic in float16, inputs and outputs in float32."""
    onnx = import_onnx()
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = convert_float_to_float16(
        onnx.load_from_string(content),
        keep_io_types=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_KEPT_IN_FLOAT32],
    )
    # The conversion leaves its casts at the end; ONNX wants every node after those it reads.
    OnnxModel(model).topological_sort()
    return model.SerializeToString()


def describe(content: bytes, info: CheckpointInfo, export: ExportInfo) -> bytes:
    """Return the graph with the checkpoint's description and its own, and checked by onnx."""
    onnx = import_onnx()
    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, {**description(info), EXPORT_KEY: export.to_json()})
    onnx.checker.check_model(model)
    return model.SerializeToString()
