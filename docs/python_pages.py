"""The page of the Python interface, from docstrings and signatures."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from page_parts import HEAD, paragraphs

# What users of the Python interface meet, by the module that they import it from.
PYTHON: Final[Mapping[str, Sequence[str]]] = {
    "xray_infer": ("Classifier", "Prediction"),
    "xray_infer.run.settings": ("EngineOptions", "AnswerSettings"),
    "xray_infer.images.limits": ("Limits",),
    "xray_infer.run.results": ("Rules",),
    "xray_infer.outputs.heatmaps.methods": ("Heatmap",),
    "xray_infer.images.decode": ("read_picture",),
    "xray_infer.images.gray": ("Picture",),
}


def python_page() -> str:
    """Return the page of the Python interface."""
    errors = importlib.import_module("xray_infer.errors")
    parts = [f"{HEAD}# Python\n", "[Examples](../how-to/python.md) are in a page of their own.\n"]
    for module, names in PYTHON.items():
        parts += [f"## {module}\n"]
        for name in names:
            parts += _thing(name, getattr(importlib.import_module(module), name))
    first, tree = inspect.cleandoc(errors.__doc__ or "").split("\n", 1)
    parts += ["## xray_infer.errors\n", f"{first}\n", f"```text\n{tree.strip()}\n```\n"]
    return "\n".join(parts)


def _thing(name: str, thing: Any) -> Iterator[str]:
    kind = "class" if inspect.isclass(thing) else "def"
    yield f"### {name}\n"
    yield f"```python\n{kind} {name}{signature(thing)}\n```\n"
    yield paragraphs(thing.__doc__ or "") + "\n"
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        if member.startswith("_") or not getattr(value, "__doc__", None):
            continue
        if isinstance(value, property):
            yield f"#### {name}.{member}\n"
        elif inspect.isfunction(function := getattr(value, "__func__", value)):  # of a class method, too
            yield f"#### {name}.{member}{signature(function)}\n"
        else:
            continue
        yield paragraphs(value.__doc__ or "") + "\n"


class AsWritten:
    """An annotation or a default, shown as it stands in the source."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def signature(thing: Any) -> str:
    """Return a signature with its annotations as they are written, without self and cls."""
    found = inspect.signature(thing)
    parameters = [_as_written(one) for one in found.parameters.values() if one.name not in ("self", "cls")]
    returned = inspect.Signature.empty if inspect.isclass(thing) else _annotation(found.return_annotation)
    return str(found.replace(parameters=parameters, return_annotation=returned))


def _as_written(parameter: inspect.Parameter) -> inspect.Parameter:
    default = parameter.default
    if dataclasses.is_dataclass(default):
        default = AsWritten(f"{type(default).__name__}()")
    return parameter.replace(annotation=_annotation(parameter.annotation), default=default)


def _annotation(annotation: Any) -> Any:
    return AsWritten(annotation) if isinstance(annotation, str) else annotation
