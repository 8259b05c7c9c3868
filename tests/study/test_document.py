"""A page's blocks in both of their forms."""

import numpy as np
import pytest
from specimens import HtmlPage, png

pytest.importorskip("matplotlib")
from xray_infer.study.document import Heading, Illustration, Paragraph, Table, to_html, to_markdown


def test_blocks_become_markdown_and_html(tmp_path):
    (tmp_path / "dot.png").write_bytes(png(np.zeros((3, 5), np.uint8)))
    blocks = [
        Heading(1, "A & B"),
        Paragraph("p < 0.001", strong=True),
        Table("Counts", ("", "n"), [("x|y", "1 to 2")]),
        Illustration("dot.png", 'a "dot"', wide=True),
    ]
    assert to_markdown(blocks) == (
        "# A & B\n\n**p < 0.001**\n\nCounts:\n\n|  | n |\n|---|---|\n| x\\|y | 1 to 2 |\n\n"
        '![a "dot"](dot.png)\n'
    )
    html = to_html(blocks, tmp_path)
    assert "<script" not in html
    assert "img-src data:; base-uri 'none'" in html
    assert "prefers-color-scheme: dark" in html
    assert "<title>A &amp; B</title>" in html
    assert '<p class="strong">p &lt; 0.001</p>' in html
    assert '<tr><th scope="row">x|y</th><td>1\u00a0to\u00a02</td></tr>' in html
    assert HtmlPage(html).all("img")[0] | {"src": ""} == {
        "alt": 'a "dot"',
        "width": "5",
        "height": "3",
        "src": "",
    }
