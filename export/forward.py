"""The forward pass of an exported classifier, written once for all formats.

    image uint8 [N, side, side, 1] -> features [N, h, w, K], h = w = side / 32
    cam = features . W, a 1x1 convolution with the Dense kernel      float32 [N, h, w, C]
    logits = mean of cam over h x w + bias; probabilities = softmax(logits / temperature)
    beside them the mean of the features over h x w                  float32 [N, K]

Pooling and a linear layer commute, so this equals GlobalAveragePooling2D and Dense, and the head's weights
exist once: mean(cam) + bias = logits holds in every format by construction. The map is Zhou et al. 2016's
CAM; divided by h w it is Grad-CAM of the logit before its ReLU (Selvaraju et al. 2017).
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from xray_infer.export.densenet import Array, Convolution, DenseNet, MaxPool

Tensor = TypeVar("Tensor")
Result = TypeVar("Result", covariant=True)


class Ops(Protocol[Tensor, Result]):
    """What a format offers; tensors are float, in the format's own layout."""

    def image(self, centre: int) -> Tensor:
        """Return the input as two planes: gray less `centre`, and WHITE less `centre`."""
        ...

    def convolve(self, values: Tensor, convolution: Convolution) -> Tensor:
        """Convolve, with the ReLU if one follows."""
        ...

    def max_pool(self, values: Tensor, pool: MaxPool) -> Tensor:
        """Take maxima of what a ReLU gave."""
        ...

    def concatenate(self, values: Tensor, more: Tensor) -> Tensor:
        """Append channels."""
        ...

    def answers(self, features: Tensor, cam: Tensor, bias: Array, temperature: float) -> Result:
        """Finish with the outputs, named as the manifest names them."""
        ...


def forward(network: DenseNet, ops: Ops[Tensor, Result]) -> Result:
    """Build the network's forward pass from what a format offers."""
    values = ops.max_pool(ops.convolve(ops.image(network.centre), network.stem), network.pool)
    for block in network.blocks:
        for layer in block.layers:
            new = values
            for convolution in layer:
                new = ops.convolve(new, convolution)
            values = ops.concatenate(values, new)
        for convolution in block.transition or ():
            values = ops.convolve(values, convolution)
    features = ops.convolve(values, network.last)
    cam = ops.convolve(features, network.head)
    return ops.answers(features, cam, network.bias, network.temperature)
