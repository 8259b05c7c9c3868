"""The commands of `xray-train` that train: fit, evidence, compare, and pretrain for a backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xray_infer.errors import DataError, ModelError, extra_for
from xray_infer.terminal import debug_option, one_line_errors, say
from xray_infer.train.data_cli import classes_option, pattern_option

if TYPE_CHECKING:
    from xray_infer.images.preprocess import Preprocessing
    from xray_infer.train.schedule import Schedule


METHOD_CHOICES = {
    "both": ("feature_extraction", "fine_tuning"),
    "feature-extraction": ("feature_extraction",),
    "fine-tuning": ("fine_tuning",),
}
PAIR_OF_COUNTS = (click.IntRange(1), click.IntRange(1))
PAIR_OF_RATES = (click.FloatRange(0, min_open=True), click.FloatRange(0, min_open=True))

EVIDENCE_PARTS = ("domains", "seeds", "controls")

SCHEDULE_OPTIONS = (
    click.option(
        "--schedule",
        type=click.Choice(["study", "best"]),
        default="study",
        show_default=True,
        help="The study's, or the best found on domains left out. The options below change it.",
    ),
    click.option("--epochs", type=PAIR_OF_COUNTS, help="Epochs of feature extraction and of fine-tuning."),
    click.option("--rates", type=PAIR_OF_RATES, help="Adam's learning rates of the two."),
    click.option("--cosine-decay", is_flag=True, default=None, help="Let the learning rates fall to zero."),
    click.option(
        "--unfreeze", type=click.IntRange(0), help="Layers of DenseNet121's 426 that fine-tuning trains."
    ),
    click.option("--mixup", type=click.FloatRange(0), help="Fine-tuning: alpha of mixup, 0 for none."),
    click.option(
        "--label-smoothing", type=click.FloatRange(0, 0.5), help="Fine-tuning: share given to all classes."
    ),
    click.option(
        "--augmentation",
        type=click.Choice(["flips", "study", "strong"]),
        help="Layers that change training images.",
    ),
    click.option(
        "--varied-quality",
        is_flag=True,
        default=None,
        help="Vary sharpness, noise, JPEG and exposure of augmented images.",
    ),
    click.option(
        "--domains-alike",
        is_flag=True,
        default=None,
        help="Let all classes count the same, and in each class all domains.",
    ),
    click.option("--batch-size", type=click.IntRange(1), help="Images a step."),
    click.option("--views", type=click.IntRange(1), help="Augmented views of each image that are kept."),
)
weights_option = click.option(
    "--weights", default="imagenet", show_default=True, help="Backbone: imagenet, none or a FILE."
)


def _multiple_of_32(context: click.Context, parameter: click.Parameter, side: int) -> int:
    """Refuse a side that DenseNet121 cannot halve five times. Click's callback."""
    if side % 32:
        raise click.BadParameter(f"{side} is no multiple of 32")
    return side


crop_option = click.option(
    "--crop",
    type=click.Choice(["none", "lungs"]),
    default="none",
    show_default=True,
    help="What is cut out of a film before it is resized. Where no lungs are found it stays whole.",
)
INPUT_OPTIONS = (
    crop_option,
    click.option(
        "--side",
        type=click.IntRange(32, 1024),
        default=224,
        show_default=True,
        callback=_multiple_of_32,
        help="Pixels of the network's square input along each side: a multiple of 32.",
    ),
)


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what the network is given of a film."""
    for option in reversed(INPUT_OPTIONS):
        command = option(command)
    return command


def schedule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a schedule and change it."""
    for option in reversed(SCHEDULE_OPTIONS):
        command = option(command)
    return command


@click.command("fit")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the run.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out after its last finished epoch.")
@click.option(
    "--method",
    type=click.Choice(list(METHOD_CHOICES)),
    default="both",
    show_default=True,
    help="What to report. Fine-tuning begins with feature extraction.",
)
@weights_option
@input_options
@schedule_options
@click.option("--plain", is_flag=True, help="Run each image through the whole network in every epoch: slow.")
@click.option(
    "--region",
    type=click.Choice(["all", "centre", "border"]),
    default="all",
    show_default=True,
    help="Blacken the rest of each image: a control for shortcuts.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Folder that keeps decoded images and features for other runs: about 60 kB a view.",
)
@click.option("--validation-only", is_flag=True, help="Leave the test split alone, to compare schedules.")
@classes_option
@pattern_option
@click.option("--seed", default=0, show_default=True, help="Of split, shuffling, augmentation and head.")
@debug_option
def fit_command(
    data: Path,
    out: Path,
    resume: bool,
    cache: Path | None,
    patient_pattern: str | None,
    debug: bool,
    **options: Any,
) -> None:
    """Train feature extraction, then fine-tuning, on DATA, and compare them.

    DATA is a folder with one sub-folder per class, 2 to 50 of any names, or a manifest CSV (columns file,
    label and maybe split, group_id, patient_id, source, domain). Where there is no split, one is made that
    divides no patient and no copies.
    """
    with one_line_errors("xray-train", debug=debug):
        _check_weights(options["weights"])
        if (out / "run.json").exists() and not resume:
            raise DataError(f"{out} holds a run; add --resume to go on with it, or give a new --out")
        with extra_for("training", "train"):
            from xray_infer.train.fit import train
            from xray_infer.train.schedule import TrainConfig
        config = TrainConfig(
            schedule=_schedule(options),
            methods=METHOD_CHOICES[options["method"]],
            preprocessing=_preprocessing(options),
            choice=options["classes"],
            **{name: options[name] for name in ("weights", "seed", "plain", "region", "validation_only")},
        )
        click.echo(train(data, out, config, patient_pattern=patient_pattern, cache=cache, report=say))


def _names(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Return the names in a text with commas, each once. Click's callback."""
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


def _evidence_parts(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    """Return the parts of the evidence that are asked for, in their order. Click's callback."""
    names = _names(context, parameter, text)
    unknown = [name for name in names if name not in EVIDENCE_PARTS]
    if unknown or not names:
        raise click.BadParameter(f"give one or more of {', '.join(EVIDENCE_PARTS)}")
    return tuple(part for part in EVIDENCE_PARTS if part in names)


@click.command("evidence")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for all runs.")
@click.option(
    "--parts",
    metavar="NAMES",
    default=",".join(EVIDENCE_PARTS),
    show_default=True,
    callback=_evidence_parts,
    help="What to gather: each domain left out, seeds on two splits, parts of the image and guesses.",
)
@click.option(
    "--domains",
    metavar="NAMES",
    callback=_names,
    help="Leave out these domains only, with commas between them.  [default: each in turn]",
)
@click.option(
    "--methods",
    type=click.Choice(list(METHOD_CHOICES)),
    default="both",
    show_default=True,
    help="What to train and report. Fine-tuning begins with feature extraction.",
)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Runs on each split.")
@click.option("--seed", default=0, show_default=True, help="Of all other trainings.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Folder that keeps decoded images and features for other runs.  [default: OUT/cache]",
)
@weights_option
@input_options
@schedule_options
@classes_option
@debug_option
def evidence_command(data: Path, out: Path, cache: Path | None, debug: bool, **options: Any) -> None:
    """Train without each domain in turn, with several seeds, on a random split, and on borders alone.

    DATA has a split. The column domain names the domains, or else hospital, or else source. Choose between
    models by the domains left out and by the AUROC within domains, not by the test split. The same command
    again goes on after the last finished epoch.
    """
    with one_line_errors("xray-train", debug=debug):
        _check_weights(options["weights"])
        with extra_for("training", "train"):
            from xray_infer.train.evidence import EvidencePlan, gather
            from xray_infer.train.schedule import TrainConfig
        config = TrainConfig(
            weights=options["weights"],
            schedule=_schedule(options),
            methods=METHOD_CHOICES[options["methods"]],
            preprocessing=_preprocessing(options),
            seed=options["seed"],
            view_seed=0,
            choice=options["classes"],
        )
        plan = EvidencePlan(**{name: options[name] for name in ("parts", "seeds", "domains")})
        click.echo(gather(data, out, config, plan, cache=cache, report=say))


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@debug_option
def compare_command(runs: tuple[Path, ...], debug: bool) -> None:
    """Compare RUNS on the validation split: what differs between them, and what it was worth."""
    with one_line_errors("xray-train", debug=debug):
        from xray_infer.train.compare import compare_runs

        click.echo(compare_runs(runs))


def _check_weights(weights: str) -> None:
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise ModelError(f"--weights {weights}: no such file; give imagenet, none or a backbone file")


def _preprocessing(options: dict[str, Any]) -> Preprocessing:
    from xray_infer.images.preprocess import Preprocessing

    return Preprocessing(_version(options["crop"]), options["side"])


def _version(crop: str) -> int:
    from xray_infer.images.preprocess import LUNGS, WHOLE_PICTURE

    return LUNGS if crop == "lungs" else WHOLE_PICTURE


def _schedule(options: dict[str, Any]) -> Schedule:
    """Return the named schedule with the options that were given put into it."""
    from xray_infer.train.schedule import SCHEDULES

    schedule = SCHEDULES[options["schedule"]]
    for option, field in (("epochs", "epochs"), ("rates", "learning_rate")):
        if options[option] is not None:
            schedule = schedule.with_stages(**{field: options[option]})
    if options["cosine_decay"]:
        schedule = schedule.with_stages(cosine_decay=(True, True))
    tuning = {"unfrozen": "unfreeze", "mixup": "mixup", "label_smoothing": "label_smoothing"}
    given = {field: options[option] for field, option in tuning.items() if options[option] is not None}
    names = ("augmentation", "varied_quality", "domains_alike", "batch_size", "views")
    shared = {name: options[name] for name in names if options[name] is not None}
    return replace(schedule, fine_tuning=replace(schedule.fine_tuning, **given), **shared)


# By labels, and by a teacher.
DEFAULTS = {
    "epochs": (20, 40),
    "small_epochs": (8, 0),
    "side": (96, 96),
    "batch_size": (64, 32),
    "rate": (2e-3, 3e-4),
}


def _default(name: str) -> str:
    labels, teacher = DEFAULTS[name]
    return (
        f"[default: {labels:g}]"
        if labels == teacher
        else f"[default: {labels:g}, with --teacher {teacher:g}]"
    )


@click.command("pretrain")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the run.")
@click.option(
    "--start", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Backbone to go on from."
)
@click.option(
    "--teacher",
    type=click.Choice(["lite0", "lite1", "lite2"]),
    help="Learn from this EfficientNet-lite with ImageNet weights instead of from labels.",
)
@click.option(
    "--films",
    type=click.Path(path_type=Path, exists=True),
    help="Manifest or folder of X-rays that the teacher labels as well; their own labels are not used.",
)
@crop_option
@click.option(
    "--leave-out",
    metavar="DOMAIN,...",
    callback=_names,
    help="Domains of the films that are not read, to judge by them afterwards.",
)
@click.option("--epochs", type=click.IntRange(1), help=f"Number of epochs.  {_default('epochs')}")
@click.option(
    "--small-epochs",
    type=click.IntRange(0),
    help=f"How many of them at 64 px, first.  {_default('small_epochs')}",
)
@click.option("--side", type=click.IntRange(32), help=f"Pixels in the other epochs.  {_default('side')}")
@click.option("--batch-size", type=click.IntRange(2), help=f"Pictures a step.  {_default('batch_size')}")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help=f"Highest learning rate.  {_default('rate')}"
)
@click.option("--seed", default=0, show_default=True, help="Of weights, shuffling and augmentation.")
@debug_option
def pretrain_command(
    archive: Path,
    out: Path,
    start: Path | None,
    teacher: str | None,
    films: Path | None,
    debug: bool,
    **options: Any,
) -> None:
    """Train a DenseNet121 backbone on a zip of photographs, where ImageNet weights can't be had.

    ARCHIVE holds train|val/<class>/<image>. An epoch is one pass over it, or with --teacher 2048 pictures.
    Uses a GPU if PyTorch sees one. The same command again goes on after the last finished epoch.
    RUN/backbone.keras is what `--weights` takes.
    """
    crop, leave_out = options.pop("crop"), options.pop("leave_out")
    if films is not None and teacher is None:
        raise click.UsageError("--films needs --teacher: films teach nothing without one")
    if films is None and (leave_out or crop != "none"):
        raise click.UsageError("--crop and --leave-out need --films: they say what is read of these")
    chosen = 0 if teacher is None else 1
    values: dict[str, Any] = {name: defaults[chosen] for name, defaults in DEFAULTS.items()}
    values |= {name: value for name, value in options.items() if value is not None}
    rate = values.pop("rate")
    with one_line_errors("xray-train", debug=debug), extra_for("pre-training", "pretrain"):
        if teacher is None:
            from xray_infer.train.backbone.pretrain import PretrainConfig, pretrain

            config = PretrainConfig(peak_learning_rate=rate, **values)
            pretrain(archive, out, config, start=start, report=say)
        else:
            from xray_infer.train.backbone.distill import distill
            from xray_infer.train.backbone.distill_run import DistillConfig
            from xray_infer.train.backbone.photographs import FilmSource

            distillation = DistillConfig(teacher=teacher, learning_rate=rate, **values)
            source = None if films is None else FilmSource(films, _version(crop), leave_out)
            distill(archive, out, distillation, films=source, start=start, report=say)
