"""Tables of what is measured within domains and in domains that were left out, for every report and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from xray_infer.model.manifest_parts import Confidence
from xray_infer.study.confidence import RIGHT
from xray_infer.study.document import Block, Paragraph, Table
from xray_infer.study.domains import (
    LEAST,
    DomainPair,
    Estimated,
    LeaveOneDomainOut,
    LeftOutDomain,
    WithinDomains,
)
from xray_infer.study.intervals import number, percent

WITHIN: Final = (
    "Within a domain the hospital tells nothing of the class. Each pair of classes of a domain has the AUROC "
    "of log p(first) - log p(second), on images of that domain alone; the mean gives each pair the same "
    "weight. Intervals of 95 % are of a bootstrap over groups. A pair counts from "
    f"{LEAST} images of each class."
)
LEFT_OUT: Final = (
    "Each domain is judged by networks that were trained, chosen and calibrated without it: on all of its "
    "images, none of which they have seen. Balanced accuracy and AUROC take in the classes with at least "
    f"{LEAST} images. Intervals of 95 % are of a bootstrap over groups: they hold for these domains, and do "
    "not say how much another hospital may differ."
)
CONFIDENCE: Final = (
    "A label whose probability is below the limit is called uncertain. The limit is the lowest at which "
    f"{RIGHT:.0%} of the labels that are said are right, where not too many "
    "are silenced by it. Temperature and limit are fitted to the same answers that they are judged on here."
)


def figure(one: Estimated | None) -> str:
    """Write a figure with its interval, empty for None."""
    return "" if one is None else number(one.value, 3, one.interval)


def share(one: Estimated | None) -> str:
    """Write a share with its interval in per cent, empty for None."""
    return "" if one is None else percent(one.value, one.interval)


def pair_name(pair: DomainPair) -> str:
    """Name a pair with its numbers of images: "nih, pneumonia and normal (47 and 55)"."""
    return f"{pair.domain}, {pair.first} and {pair.second} ({pair.images[0]} and {pair.images[1]})"


def within_blocks(caption: str, columns: Mapping[str, WithinDomains]) -> list[Block]:
    """Return a table of the pairs, a column for each of several classifiers of the same images, by title."""
    shown = list(columns.values())
    first = shown[0]
    rows = [
        (
            pair.domain,
            f"{pair.first}, {pair.second}",
            " + ".join(map(str, pair.images)),
            *(figure(one.counted[place].auroc) for one in shown),
        )
        for place, pair in enumerate(first.counted)
    ]
    if rows:
        rows.append(("mean of the pairs", "", "", *(figure(one.mean) for one in shown)))
    notes = list(map(pair_name, first.omitted))
    blocks: list[Block] = []
    if rows:
        blocks.append(Table(caption, ("domain", "classes", "images", *columns), rows))
    else:
        blocks.append(Paragraph(f"{caption}: no domain has two classes of {first.least} images."))
    if notes:
        blocks.append(
            Paragraph(f"Left out, with fewer than {first.least} images of a class: {'; '.join(notes)}.")
        )
    if first.images_without_domain:
        blocks.append(Paragraph(f"Images without a domain, in no pair: {first.images_without_domain}."))
    return blocks


def left_out_blocks(found: LeaveOneDomainOut) -> list[Block]:
    """Return the tables of the domains that were left out: the mean first, then each domain."""
    every = [domain for method in found.methods.values() for domain in method.domains]
    blocks: list[Block] = []
    if every:
        blocks.append(Paragraph(LEFT_OUT))
        blocks += _means(found)
        blocks.append(
            Table(
                f"Domains left out, by the column {found.domains_from!r}",
                (
                    "domain",
                    "method",
                    "images",
                    "balanced accuracy",
                    "AUROC",
                    *(f"recall, {name}" for name in found.classes),
                    "calibration error",
                    "mean confidence",
                    "accuracy",
                    f"rows true, columns predicted, {', '.join(found.classes)}",
                ),
                [_row(name, domain, found.classes) for name, domain in _by_domain(found)],
            )
        )
    if found.skipped:
        reasons = "; ".join(f"{domain}: {reason}" for domain, reason in found.skipped.items())
        blocks.append(Paragraph(f"Not left out: {reasons}."))
    return blocks


def confidence_blocks(found: Mapping[str, Confidence]) -> list[Block]:
    """Return a table of what each method's confidence is worth in the domains left out, none for none."""
    if not found:
        return []
    rows = [
        (
            _title(method),
            number(one.temperature, 3),
            "none helps" if one.limit is None else number(one.limit, 2),
            percent(one.coverage),
            percent(one.accuracy),
            percent(one.accuracy_of_all),
            number(one.calibration_error, 3),
        )
        for method, one in found.items()
    ]
    titles = (
        "method",
        "temperature",
        "limit of confidence",
        "labels said",
        "right of these",
        "right of all",
        "calibration error",
    )
    domains = ", ".join(next(iter(found.values())).domains)
    caption = f"One temperature and one limit for all domains left out, each domain alike: {domains}"
    return [Paragraph(CONFIDENCE), Table(caption, titles, rows)]


def _means(found: LeaveOneDomainOut) -> list[Block]:
    rows: list[Sequence[str]] = []
    domains: tuple[str, ...] = ()
    for name, method in found.methods.items():
        if method.mean is not None:
            mean, domains = method.mean, method.mean.domains
            figures = (mean.balanced_accuracy, mean.auroc, mean.calibration_error)
            rows.append((_title(name), share(figures[0]), *map(figure, figures[1:])))
    if not rows:
        return [Paragraph("No domain that was left out has two classes that count, so there is no mean.")]
    caption = f"Mean over the domains left out that have two classes: {', '.join(domains)}"
    return [Table(caption, ("method", "balanced accuracy", "AUROC", "calibration error"), rows)]


def _by_domain(found: LeaveOneDomainOut) -> list[tuple[str, LeftOutDomain]]:
    """Return method and figures, the methods of one domain together."""
    listed = [(name, domain) for name, method in found.methods.items() for domain in method.domains]
    order = list(dict.fromkeys(domain.domain for _, domain in listed))
    return sorted(listed, key=lambda one: order.index(one[1].domain))


def _row(method: str, domain: LeftOutDomain, classes: Sequence[str]) -> tuple[str, ...]:
    return (
        domain.domain,
        _title(method),
        str(domain.images),
        share(domain.balanced_accuracy),
        figure(domain.within.mean),
        *(
            f"{percent(one.hits / one.images, one.interval)}, n = {one.images}" if one.images else ""
            for one in (domain.recalls[name] for name in classes)
        ),
        figure(domain.calibration_error),
        percent(domain.mean_confidence),
        share(domain.accuracy),
        " / ".join(" ".join(map(str, row)) for row in domain.confusion),
    )


def _title(method: str) -> str:
    return method.replace("_", " ")
