"""How the probabilities of each class are spread over a run, as SVG with its figures in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from xray_infer.outputs.page.page_text import escaped
from xray_infer.run.results import Row

BINS: Final = 20
_WIDTH, _HEIGHT, _TOP, _LEFT = 320, 110, 18, 4
_EDGES: Final = tuple(round(100 * edge / BINS) for edge in range(BINS + 1))


class Histograms:
    """Counts of probabilities by class and bin, in constant memory."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.counts = {name: [0] * BINS for name in class_names}

    def add(self, row: Row) -> None:
        """Count a row's probabilities; none where it has no answer."""
        for name, value in zip(row.class_names, row.probabilities, strict=False):
            self.counts[name][min(BINS - 1, int(value * BINS))] += 1

    def to_html(self) -> str:
        """Return one figure a class and a table with the same figures."""
        if not any(map(sum, self.counts.values())):
            return "<p>No image was classified.</p>"
        figures = "\n".join(map(_figure, range(len(self.counts)), self.counts, self.counts.values()))
        heads = "".join(f'<th scope="col">{escaped(name)}</th>' for name in self.counts)
        bins = zip(pairwise(_EDGES), zip(*self.counts.values(), strict=True), strict=True)
        rows = "\n".join(_line(low, high, counts) for (low, high), counts in bins)
        return (
            f'<div class="histograms">\n{figures}\n</div>\n'
            "<details>\n<summary>The same as numbers</summary>\n"
            '<table class="numbers">\n<caption>Images by probability</caption>\n'
            f'<thead><tr><th scope="col">Probability</th>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n'
            "</table>\n</details>"
        )


def described(name: str, counts: list[int]) -> str:
    """Return one class's histogram in a sentence."""
    low, high = sum(counts[: BINS // 10]), sum(counts[-(BINS // 10) :])
    return (
        f"Of {sum(counts):,} images, {low:,} have a probability of {name} below 10 %, "
        f"{sum(counts) - low - high:,} between 10 and 90 %, {high:,} of 90 % or more."
    )


def _line(low: int, high: int, counts: Iterable[int]) -> str:
    cells = "".join(f"<td>{count:,}</td>" for count in counts)
    return f'<tr><th scope="row">{low} to {high} %</th>{cells}</tr>'


def _figure(number: int, name: str, counts: list[int]) -> str:
    mark, words = escaped(name), escaped(described(name, counts))
    return (
        f'<figure>\n<svg role="img" viewBox="0 0 {_WIDTH} {_TOP + _HEIGHT + 22}" '
        f'aria-labelledby="histogram-{number}">\n<title id="histogram-{number}">{words}</title>\n'
        f"{''.join(_shapes(counts))}\n</svg>\n"
        f"<figcaption><strong>{mark}.</strong> {words}</figcaption>\n</figure>"
    )


def _shapes(counts: list[int]) -> Iterator[str]:
    most, base = max(counts), _TOP + _HEIGHT
    step = (_WIDTH - 2 * _LEFT) / BINS
    yield f'<text x="{_LEFT}" y="12">{most:,} images</text>'
    yield f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{_TOP}" y2="{_TOP}"/>'
    for number, count in enumerate(counts):
        if count:
            tall = max(1.5, _HEIGHT * count / most)  # a single image among thousands can still be seen
            yield (
                f'<rect x="{_LEFT + number * step + 1:.1f}" y="{base - tall:.1f}" '
                f'width="{step - 2:.1f}" height="{tall:.1f}"/>'
            )
    yield f'<line x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{base}" y2="{base}"/>'
    for place, anchor, text in ((_LEFT, "start", "0 %"), (_WIDTH // 2, "middle", "50 %")):
        yield f'<text x="{place}" y="{base + 16}" text-anchor="{anchor}">{text}</text>'
    yield f'<text x="{_WIDTH - _LEFT}" y="{base + 16}" text-anchor="end">100 %</text>'
