"""The form of a report: its colours can be read, and its colour bar has those of the heat."""

import re

import numpy as np
import pytest
from places import REPOSITORY
from report_pages import contrast, made_up_rows, write_page

from xray_infer.outputs.heatmaps.methods import Heatmap
from xray_infer.outputs.heatmaps.overlay import lay_heat


def test_contrast_as_the_standard_has_it():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("palette", range(3), ids=["light", "dark", "print"])
def test_every_pair_of_colours_can_be_read(palette):
    """Text on its own background, or on all on which it may stand; edges of controls and bars at 3:1."""
    folder = REPOSITORY / "infer" / "outputs" / "page"
    css = "".join((folder / name).read_text() for name in ("shell.css", "page.css"))
    blocks = re.findall(r":root \{([^}]*)\}", css)
    assert len(blocks) == 3
    colours: dict[str, str] = {}
    for block in (blocks[0], blocks[palette]):  # the later ones stand on the first
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    rest = css
    for block in blocks:
        rest = rest.replace(block, "")
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", rest)
    pairs, edges = set(), set()
    for _, body in rules:
        text = re.findall(r"(?:^|[;\s])(?:color|fill): var\(--([\w-]+)\)", body)
        back = re.findall(r"background: var\(--([\w-]+)\)", body)
        for one in text:
            if one == "bar":
                edges |= {(one, "page")}
            else:
                pairs |= {(one, other) for other in back or ("page", "panel")}
        pairs |= {("text", other) for other in back if not text}
        edges |= {
            (one, other)
            for one in re.findall(r"(?:border|outline): \d+px \w+ var\(--([\w-]+)\)", body)
            for other in ("page", "panel")
            if one in ("edge", "link")
        }
    assert {("text", "page"), ("quiet", "page"), ("notice-text", "notice"), ("bad", "bad-back")} <= pairs
    for one, other in pairs:
        assert contrast(colours[one], colours[other]) >= 4.5, (one, other)
    for one, other in edges | {("text", "button"), ("quiet", "button")}:
        assert contrast(colours[one], colours[other]) >= 3, (one, other)
    assert contrast(colours["quiet"], colours["button"]) >= 4.5  # a button that does nothing for now
    # No colour but those of the palettes, the heat's own and black around pictures.
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", re.sub(r"linear-gradient\(.*?\);", "", rest))) <= {
        "#000", "#fff", "#000a",
    }  # fmt: skip


def test_the_colour_bar_has_the_colours_of_the_heat(tmp_path):
    """Over black, the hottest is drawn in the bar's last colour, at the overlays' opacity."""
    write_page(tmp_path / "p.html", made_up_rows(1))
    stops = re.search(r"linear-gradient\(to right, (.*?)\)", (tmp_path / "p.html").read_text())[1].split(", ")
    assert len(stops) == 9
    values = np.ones((2, 2), np.float32)
    drawn = np.empty((8, 8, 3), np.uint8)
    lay_heat(np.zeros((8, 8), np.uint8), Heatmap(values, "covid", "", 1.0), drawn)
    hottest = drawn[4, 4, ::-1]
    last = np.array([int(stops[-1][start : start + 2], 16) for start in (1, 3, 5)])
    assert np.abs(hottest - 0.55 * last).max() <= 2
    cold = Heatmap(np.zeros((2, 2), np.float32), "covid", "", 0.0)
    lay_heat(np.full((8, 8), 77, np.uint8), cold, drawn)
    assert (drawn == 77).all()
