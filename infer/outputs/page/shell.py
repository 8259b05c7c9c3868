"""What every page of this project shares: its head, its policy, its palette, and how it prints.

Three kinds of page are written: that of a run (`run_page`), the report of a training and that of a benchmark
(`study.document`, `benchmarks.reporting`). `shell.html` is the form of each; `shell.css` holds the colours,
as variables, for light, dark and print, and the look of text, links, notices and focus.

A page loads nothing from elsewhere. Its content security policy lets through the style and the script that
it holds, by their digests, and pictures; nothing else, and no address that a form or a link could be led to.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from string import Template
from typing import Final

from xray_infer.outputs.page.page_text import escaped

EMBEDDED: Final = "data:"  # pictures inside the page
BESIDE: Final = "'self' file:"  # pictures beside the page


def page_part(name: str) -> str:
    """Return the text of a file of this package: `shell.css`, `page.js`, ..."""
    return files("xray_infer.outputs.page").joinpath(name).read_text(encoding="utf-8")


def shell(title: str, body: str, *, style: str, pictures: str = EMBEDDED, script: str = "") -> str:
    """Return a page of a title (text) and the HTML of its body, which ends with a line break.

    `style` is CSS after that of every page; `script` the text of the page's one script, where it has one;
    `pictures` says whence pictures may come, as a source of the policy.
    """
    whole = page_part("shell.css") + style
    scripts = f" script-src '{_digest(script)}';" if script else ""
    policy = (
        f"default-src 'none';{scripts} style-src '{_digest(whole)}'; img-src {pictures}; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(page_part("shell.html")).substitute(
        policy=policy, title=escaped(title), style=whole, body=body
    )


def _digest(text: str) -> str:
    """Return a source of the content security policy: SHA-256 of an element's text (CSP Level 3, 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
