"""The report of a training run, written into the run's folder; every file appears atomically.

    report.json               every figure; `figures` describes its layout
    report.md, plots/*.png    the page with its pictures beside it
    report.html               the same page as one file, pictures inside, that loads nothing

Contact sheets, and so report.html, hold images of the training collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xray_infer.atomic import make_folder, write_json, write_text
from xray_infer.study.document import to_html, to_markdown
from xray_infer.train.data.yardsticks import Yardstick
from xray_infer.train.predictions import MethodResult
from xray_infer.train.report import plots
from xray_infer.train.report.contact_sheet import draw_contact_sheet
from xray_infer.train.report.figures import MethodFigures, measure_run
from xray_infer.train.report.training_page import build_page


def write_report(
    out: Path,
    results: Sequence[MethodResult],
    facts: Mapping[str, Any],
    yardsticks: Sequence[Yardstick] = (),
) -> str:
    """Write the report of one or two trained methods into `out` and return the Markdown's text.

    `facts` is what there is to say of the run: configuration, data digest, counts, seed, versions; mappings
    may be nested. The accuracies stand beside those of the `yardsticks` on the same images. Raises
    OutputError, and ValueError when two methods were tested on different images.
    """
    run = measure_run(results, facts, yardsticks)
    make_folder(out / "plots")
    for method in run.methods:
        _draw(method, out)
    page = build_page(run)
    text = to_markdown(page)
    write_text(out / "report.html", to_html(page, out))
    write_text(out / "report.md", text)
    write_json(out / "report.json", run.to_dict())
    return text


def _draw(one: MethodFigures, out: Path) -> None:
    result, test = one.result, one.test
    title = f"{result.title}, test, n = {test.metrics.images}"
    figures = {
        "confusion": plots.confusion_matrix(title, test.metrics),
        "roc": plots.roc_curves(title, result.test, result.temperature),
        "reliability": plots.reliability(title, test.before, test.after, classes=len(result.test.classes)),
    }
    if result.history:
        figures["learning_curves"] = plots.learning_curves(result.title, result.history)
    if one.worst_errors:
        errors = test.metrics.images - test.metrics.hits
        figures["worst_errors"] = draw_contact_sheet(title, result.test, one.worst_errors, errors)
    for kind, figure in figures.items():
        plots.save(figure, out / plots.plot_file(result.method, kind))
