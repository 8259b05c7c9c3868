"""The forward pass as ONNX, opset 18: free batch size, float32. The same network gives the same bytes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from xray_infer.export.densenet import WHITE, Array, Convolution, DenseNet, MaxPool
from xray_infer.export.forward import forward
from xray_infer.model.embedding import MANIFEST_KEY
from xray_infer.model.manifest import INPUT_NAME, OUTPUT_NAMES, ModelManifest

OPSET: Final = 18
IR_VERSION: Final = 9  # of opset 18's time, so that older runtimes read it
SHRUNK: Final = 32  # times a map's side in the input's


class OnnxOps:
    """Writes nodes one after the other; tensors are names, NCHW. `side` is the input's. See `forward.Ops`."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node, named by its place, and return its output."""
        name = f"{kind}_{len(self.nodes)}"
        output = output or f"{name}:0"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def constant(self, values: Any, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant and return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def gray(self) -> str:
        """Return the image, uint8 [N, 1, side, side]."""
        # With one channel the layout is the same.
        return self.add("Reshape", INPUT_NAME, self.constant([-1, 1, self.side, self.side], np.int64))

    def planes(self) -> str:
        """Return the image and a plane of WHITE, uint8 [N, 2, side, side]."""
        ends = self.constant([0, 0, 0, 0, 0, 1, 0, 0], np.int64)
        return self.add("Pad", self.gray(), ends, self.constant(WHITE, np.uint8))

    def image(self, centre: int) -> str:
        """See `forward.Ops`."""
        return self.add("Sub", self.add("Cast", self.planes(), to=TensorProto.FLOAT), self.constant(centre))

    def convolve(self, values: str, convolution: Convolution) -> str:
        """See `forward.Ops`."""
        weights = self.constant(onnx_kernel(convolution))
        return self.convolve_with(values, convolution, weights, self.constant(convolution.bias))

    def convolve_with(self, values: str, convolution: Convolution, weights: str, bias: str) -> str:
        """Convolve with weights and bias that are in the graph."""
        height, width, _, out = convolution.kernel.shape
        output = self.add(
            "Conv",
            values,
            weights,
            bias,
            kernel_shape=[height, width],
            strides=[convolution.stride] * 2,
            pads=[convolution.padding] * 4,
            group=out if convolution.depthwise else 1,
        )
        return self.add("Relu", output) if convolution.relu else output

    def max_pool(self, values: str, pool: MaxPool) -> str:
        """See `forward.Ops`."""
        return self.add(
            "MaxPool",
            values,
            kernel_shape=[pool.size] * 2,
            strides=[pool.stride] * 2,
            pads=[pool.padding] * 4,
        )

    def concatenate(self, values: str, more: str) -> str:
        """See `forward.Ops`."""
        return self.add("Concat", values, more, axis=1)

    def mean(self, values: str, output: str | None = None) -> str:
        """Return the mean over height and width, [N, channels].

        GlobalAveragePool gives an image the same bits wherever it stands in its batch; ReduceMean does not.
        """
        return self.add("Flatten", self.add("GlobalAveragePool", values), output=output, axis=1)

    def answers(self, features: str, cam: str, bias: Array, temperature: float) -> onnx.ModelProto:
        """Return the whole model, checked."""
        probabilities, maps, pooled = OUTPUT_NAMES
        self.mean(features, pooled)
        self.add("Transpose", cam, output=maps, perm=[0, 2, 3, 1])
        logits = self.add("Add", self.mean(cam), self.constant(bias))
        self.add(
            "Softmax", self.add("Div", logits, self.constant(temperature)), output=probabilities, axis=-1
        )
        classes = len(bias)
        graph = helper.make_graph(
            self.nodes,
            "densenet",
            [
                helper.make_tensor_value_info(
                    INPUT_NAME, TensorProto.UINT8, ["batch", self.side, self.side, 1]
                )
            ],
            [
                helper.make_tensor_value_info(probabilities, TensorProto.FLOAT, ["batch", classes]),
                helper.make_tensor_value_info(
                    maps, TensorProto.FLOAT, ["batch", self.side // SHRUNK, self.side // SHRUNK, classes]
                ),
                helper.make_tensor_value_info(pooled, TensorProto.FLOAT, ["batch", None]),
            ],
            self.constants,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="xray-export"
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def onnx_kernel(convolution: Convolution) -> NDArray[np.float64]:
    """Return a kernel as ONNX wants it: [out, in, height, width]."""
    return convolution.kernel.transpose(3, 2, 0, 1)


def to_onnx(network: DenseNet) -> onnx.ModelProto:
    """Write the network in float32."""
    return forward(network, OnnxOps(network.side))


def embed_onnx_manifest(model: bytes, manifest: ModelManifest) -> bytes:
    """Put the manifest into the file's metadata; nothing else changes."""
    proto = onnx.load_from_string(model)
    helper.set_model_props(proto, {MANIFEST_KEY: manifest.to_json()})
    return bytes(proto.SerializeToString(deterministic=True))
