"""The command `xray-export`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xray_infer import __version__
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import extra_for
from xray_infer.export import load_toolchain
from xray_infer.export.recipes import CALIBRATIONS, choose, describe
from xray_infer.model.runtime_table import MODEL_FORMATS
from xray_infer.terminal import DefaultGroup, debug_option, one_line_errors, say

if TYPE_CHECKING:
    from xray_infer.export.exporter import ExportedFile
    from xray_infer.model.manifest_parts import Quantization


@click.group(
    cls=DefaultGroup,
    default_command="convert",
    epilog=RESEARCH_NOTICE,
    context_settings={"auto_envvar_prefix": "XRAY_EXPORT", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__)
def main() -> None:
    """Export models: `xray-export MODEL ...` is short for `xray-export convert MODEL ...`."""


false_rejection_option = click.option(
    "--false-rejection",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.01,
    show_default=True,
    help="Share of X-rays like those of the data that the file may reject as none.",
)


def _list_recipes(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(describe())
        context.exit()


# The prefix without the command's name, so that the variables are the same in the short form.
@main.command("convert", context_settings={"auto_envvar_prefix": "XRAY_EXPORT"})
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "model_format",
    type=click.Choice([*MODEL_FORMATS, "all"]),
    default="all",
    show_default=True,
    help="Format of the exported files.",
)
@click.option(
    "--quantize",
    "recipes",
    default="fp32",
    show_default=True,
    help="Recipes, separated by commas, or all; int8 is short for int8-static.",
)
@click.option(
    "--list-recipes",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_recipes,
    help="Say what each recipe does and when to use it, and stop.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="The data the model was trained on."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the exported files.")
@click.option(
    "--calibration-images",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Images that set the ranges of int8, at most.",
)
@click.option(
    "--calibration-data",
    type=click.Path(path_type=Path),
    help="Where they are from: a folder of images or a manifest.  [default: DATA's training images]",
)
@click.option(
    "--calibrate",
    type=click.Choice(["auto", *CALIBRATIONS]),
    default="auto",
    show_default=True,
    help="How they set them; auto: what follows the Keras model best on validation images.",
)
@click.option(
    "--mixed",
    type=click.Choice(["auto", "none"]),
    default="auto",
    show_default=True,
    help="auto: leave in float what int8 harms most; none: quantise every layer.",
)
@click.option(
    "--choice-images",
    type=click.IntRange(min=1),
    default=400,
    show_default=True,
    help="Validation images that int8's choices are made on, at most.",
)
@click.option(
    "--gate-images",
    type=click.IntRange(min=1),
    default=400,
    show_default=True,
    help="Test images that judge every file, at most.",
)
@false_rejection_option
@click.option(
    "--evidence",
    type=click.Path(path_type=Path),
    help="evidence.json of xray-train evidence: temperature and limit of confidence are then those of the "
    "domains left out.",
)
@click.option("--seed", default=0, show_default=True, help="Of the choice of images.")
@debug_option
def convert_command(
    model: Path, model_format: str, recipes: str, calibrate: str, mixed: str, debug: bool, **options: Any
) -> None:
    """Export the Keras classifier MODEL to ONNX and TFLite files that xray-infer runs.

    MODEL.json, written by xray-train beside the model, is needed too. A file appears in the folder only
    after it has answered like the Keras model on test images. METHOD.reference.npz beside the files holds
    the Keras model's answers, for `xray-export verify`.
    """
    with one_line_errors("xray-export", debug=debug):
        chosen = choose(model_format, recipes)
        tool_versions = load_toolchain()
        from xray_infer.export.exporter import ExportConfig, export

        calibrations = CALIBRATIONS if calibrate == "auto" else (calibrate,)
        options |= {"calibrations": calibrations, "mixed": mixed == "auto"}
        config = ExportConfig(model=model, recipes=chosen, **options)
        click.echo(_table(list(export(config, tool_versions=tool_versions, report=say))))


@main.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder or manifest that holds the images."
)
@click.option(
    "--reference", type=click.Path(path_type=Path), help="Default: METHOD.reference.npz beside FILE."
)
@click.option(
    "--images",
    type=click.IntRange(min=1),
    help="Run so many of the images, evenly picked, on a slow computer.  [default: all]",
)
@debug_option
def verify_command(file: Path, data: Path, reference: Path | None, images: int | None, debug: bool) -> None:
    """Hold FILE, an exported model, against its Keras model's answers again: here, in the runtimes you have.

    Needs no TensorFlow. Exit status 2 when the file does not pass.
    """
    with one_line_errors("xray-export", debug=debug):
        from xray_infer.export.verify import verify

        click.echo(str(verify(file, data, reference=reference, images=images)))


@main.command("reject")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="The data the model was trained on."
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: FILE itself]")
@false_rejection_option
@debug_option
def reject_command(file: Path, data: Path, out: Path | None, false_rejection: float, debug: bool) -> None:
    """Teach FILE, an exported model, to reject what is no X-ray like those it was trained on.

    `xray-export MODEL` does it for new files; this is for files that were made before. It adds the output
    ood_score, fitted on DATA's training images, with a threshold set on its validation images. Nothing else
    in FILE changes, which is checked in every runtime. Needs no TensorFlow.
    """
    with one_line_errors("xray-export", debug=debug), extra_for("changing a model file", "export"):
        from xray_infer.export.rejection import reject, summary

        manifest = reject(file, data, out=out or file, false_rejection=false_rejection, report=say)
        click.echo(summary(manifest))


@main.command("alarm")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="The data the model was trained on."
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: FILE itself]")
@click.option(
    "--evidence",
    type=click.Path(path_type=Path),
    help="evidence.json of xray-train evidence: how often the model is right in domains left out.",
)
@debug_option
def alarm_command(file: Path, data: Path, out: Path | None, evidence: Path | None, debug: bool) -> None:
    """Teach FILE, an exported model, to tell a folder of films that are unlike the training hospitals'.

    `xray-export MODEL` does it for new files; this is for files that were made before. What is compared is
    fitted on DATA's training images and goes into the manifest; no answer changes. Needs no TensorFlow.
    """
    with one_line_errors("xray-export", debug=debug), extra_for("changing a model file", "export"):
        from xray_infer.export.alarm_export import alarm

        click.echo(alarm(file, data, out=out or file, evidence=evidence, report=say))


@main.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def inspect_command(file: Path, as_json: bool, debug: bool) -> None:
    """Tell what is in FILE, an .onnx or .tflite model: manifest, operators by precision, bytes, and costs.

    Costs are of one image: multiply-accumulates (MACs) of convolutions and matrix products, and the bytes
    that the operators write.
    """
    with one_line_errors("xray-export", debug=debug):
        from xray_infer.export.inspection import inspect_file
        from xray_infer.export.inspection.report_text import to_text

        report = inspect_file(file)
        click.echo(json.dumps(report.to_dict(), indent=1) if as_json else to_text(report))


def _table(files: Sequence[ExportedFile]) -> str:
    width = max(len(file.path.name) for file in files)
    lines = [f"{'file':<{width}}  {'MB':>5}  {'agreement':>9}  {'max dp':>7}  {'mean dp':>7}  int8"]
    for file in files:
        result = file.parity.result
        line = (
            f"{file.path.name:<{width}}  {file.size_bytes / 1e6:5.1f}  {result.agreement:9.3f}  "
            f"{result.max_dp:7.1e}  {result.mean_dp:7.1e}  {_choice(file.quantization)}"
        )
        lines.append(line.rstrip())
    return "\n".join(lines)


def _choice(quantization: Quantization | None) -> str:
    chosen = quantization.chosen if quantization is not None else None
    return f"{chosen.calibration}, {len(chosen.in_float)} layers in float" if chosen is not None else ""
