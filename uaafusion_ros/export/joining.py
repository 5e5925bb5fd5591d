"""One graph of two: the fusing one, with the judging one behind an `If`."""

from __future__ import annotations

from typing import Any

import numpy as np

from uaafusion_ros.export.graph import IS_UNKNOWN, KEPT_OF_BATCH
from uaafusion_ros.export.rewriting import import_onnx
from uaafusion_ros.inference.onnx_file import KEPT, SHARES, UNKNOWN

_PREFIX = "judging/"
#: Bytes of a tensor; smaller ones are held twice.
_SHARED_FROM = 4096


def join(fusing: bytes, judging: bytes) -> bytes:
    """Return a graph that judges the sources only where a class in the picture is yet unknown.

    Args:
        fusing, judging: `FusingGraph` and `JudgingGraph` as ONNX.
    """
    onnx = import_onnx()
    whole, part = onnx.load_from_string(fusing), onnx.load_from_string(judging).graph
    graph = whole.graph
    _rename(part)
    _share_weights(part, graph)
    (judged,) = part.output
    condition = onnx.helper.make_node(
        "If",
        [IS_UNKNOWN],
        [SHARES],
        name="judge",
        then_branch=part,
        else_branch=_identity(KEPT_OF_BATCH, judged),
    )
    _insert(graph, condition)
    _hand_on(graph)
    _give_default(graph)
    # TensorRT's provider refuses parts of a graph whose shapes it is not told.
    whole = onnx.shape_inference.infer_shapes(whole, data_prop=True)
    return whole.SerializeToString()


def _rename(part: Any) -> None:
    """Give all that `part` computes or holds names of its own; its inputs are read from outside."""
    own = {tensor.name for tensor in part.initializer}
    own |= {name for node in part.node for name in node.output}

    def renamed(names: Any) -> list[str]:
        return [_PREFIX + name if name in own else name for name in names]

    for node in part.node:
        node.name = _PREFIX + node.name
        node.input[:], node.output[:] = renamed(node.input), renamed(node.output)
    for value in (*part.initializer, *part.output):
        value.name = _PREFIX + value.name
    # Sizes that both graphs call alike need not be alike; they are inferred anew.
    del part.input[:], part.value_info[:]


def _share_weights(part: Any, graph: Any) -> None:
    """Let `part` read what `graph` holds already, so that the file does not hold S twice."""
    onnx = import_onnx()
    held = {_content(tensor): tensor.name for tensor in graph.initializer}
    readers = []
    for tensor in list(part.initializer):
        *_, data = content = _content(tensor)
        name = held.get(content)
        if name is None or len(data) < _SHARED_FROM:
            continue
        # onnxruntime lays a convolution out for the CPU only if its weights are of its own graph.
        # A reshape to the same shape is computed when the file is loaded, and makes them that.
        shape = onnx.numpy_helper.from_array(np.array(tensor.dims), f"{tensor.name}/shape")
        readers.append(
            onnx.helper.make_node(
                "Reshape", [name, shape.name], [tensor.name], name=f"{tensor.name}/reshape"
            )
        )
        part.initializer.remove(tensor)
        part.initializer.append(shape)
    nodes = [*readers, *part.node]
    del part.node[:]
    part.node.extend(nodes)


def _content(tensor: Any) -> tuple[str, tuple[int, ...], bytes]:
    values = import_onnx().numpy_helper.to_array(tensor)
    return values.dtype.str, values.shape, values.tobytes()


def _identity(source: str, like: Any) -> Any:
    onnx = import_onnx()
    output = onnx.ValueInfoProto()
    output.CopyFrom(like)
    output.name = "kept/" + SHARES
    node = onnx.helper.make_node("Identity", [source], [output.name], name="kept/identity")
    return onnx.helper.make_graph([node], "kept", [], [output])


def _insert(graph: Any, condition: Any) -> None:
    """Put the node after all that it may read, and before all that reads its output."""
    before, after, unavailable = [], [], set(condition.output)
    for node in graph.node:
        if unavailable.isdisjoint(node.input):
            before.append(node)
        else:
            after.append(node)
            unavailable.update(node.output)
    nodes = [*before, condition, *after]
    del graph.node[:]
    graph.node.extend(nodes)


def _hand_on(graph: Any) -> None:
    """Make the shares an output, which were an input, and of what only the `If` reads none."""
    (shares,) = (value for value in graph.input if value.name == SHARES)
    outputs = [value for value in graph.output if value.name not in (IS_UNKNOWN, KEPT_OF_BATCH)]
    graph.input.remove(shares)
    del graph.output[:]
    graph.output.extend([*outputs, shares])


def _give_default(graph: Any) -> None:
    """Let who feeds the images alone have both sources judged."""
    onnx = import_onnx()
    kept = next(value for value in graph.input if value.name == KEPT)
    classes = kept.type.tensor_type.shape.dim[2].dim_value
    nothing = np.zeros((1, 3, classes), np.float32)
    nothing[:, 2] = UNKNOWN
    graph.initializer.append(onnx.numpy_helper.from_array(nothing, KEPT))
