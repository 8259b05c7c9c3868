"""One operator of a graph: what it computes in, what it costs, what it writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Final

Shape = tuple[int, ...]
UNKNOWN: Final = "unknown"  # the name of a type that the installed packages do not know


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator of the graph as it is run once.

    `precision` is the type it computes in, see `precision`. `macs` is its number of multiply-accumulates,
    0 for all but convolutions and matrix products. `written` holds (name, bytes) of every tensor that it
    writes for each image; operators on constants alone write none. `counted` is false where the file does
    not say enough to know either.
    """

    op_type: str
    precision: str
    macs: int = 0
    written: tuple[tuple[str, int], ...] = ()
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Product:
    """How to count the multiply-accumulates of a kind of operator.

    `macs` takes the shapes of the output, of the values and of the weights; `values` and `weights` are the
    places of the last two among the operator's inputs.
    """

    macs: Callable[[Shape, Shape, Shape], int]
    values: int = 0
    weights: int = 1


def precision(activation: str, weights: str) -> str:
    """Name what a product of two stored types computes in.

    Integers of one width: "int8" whatever the sign. Of two, weights first: "int8x16". Weights that are
    stored smaller than the float they are computed in: "int8 weights", "float16 weights".
    """
    bits = integer_bits(weights)
    activation_bits = integer_bits(activation)
    if bits and activation_bits:
        return f"int{bits}" if bits == activation_bits else f"int{bits}x{activation_bits}"
    if activation_bits or activation == weights:
        return weights
    return f"int{bits} weights" if bits else f"{weights} weights"


def quantized_name(type_name: str) -> str:
    """Name a quantised type by its width alone: int8 for uint8 too."""
    bits = integer_bits(type_name)
    return f"int{bits}" if bits else type_name


def integer_bits(type_name: str) -> int:
    """Return the width of an integer type in bits, 0 for other types."""
    found = re.fullmatch(r"u?int(\d+)", type_name)
    return int(found[1]) if found else 0


def tensor_bytes(type_name: str, shape: Shape) -> int:
    """Return the bytes of a dense tensor, small types packed; strings and unknown types count as none."""
    found = re.search(r"\d+", type_name)
    bits = int(found[0]) if found else 8 * (type_name == "bool")
    return -(-prod(shape) * bits // 8)
