"""A hook of pytest: in CI, a test that skips for a reason that is not expected fails the run.

A machine without Chromium would else leave out the browser's tests in silence.
"""

from __future__ import annotations

import os
import re
from typing import Final

import pytest

EXPECTED: Final = (
    r"no \.\./shared/data beside the repository",  # real X-rays, which are not published with the code
    # [dev] leaves PyTorch and JAX out: 1 GB for a few tests of what pre-trains and of Keras's other backends.
    r"the extra \[(pretrain|lungs|peers)\] is not installed(: no \w+)?",
    r"(torch|jax) is not installed",
    # Other systems: Windows and macOS.
    r"POSIX (permissions|signals)",
    r"(needs )?signals",
    r".* Linux's (/proc|files and limits)",
    r"finds actors in /proc",
    r"no affinity masks on this system",
    # Combinations in a table of cases that do not exist.
    r"not stored as JPEG",
    r"several pictures",
)


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why a test or a module skips; empty when it does not, and for a failure that is expected."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return ""
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return said.removeprefix("Skipped: ") or "no reason given"


def is_expected(reason: str) -> bool:
    """Tell whether a test may skip for this reason, in CI, too."""
    return any(re.fullmatch(pattern, reason) for pattern in EXPECTED)


class UnexpectedSkips:
    """A plugin of pytest: collects them, names them in the end and fails the run."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See pytest."""
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """See pytest."""
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = reason_of(report)
        if reason and not is_expected(reason):
            self.found[report.nodeid] = reason

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """See pytest."""
        if self.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """See pytest."""
        if self.found:
            terminalreporter.section("skipped, and not for a reason in tests/support/unexpected_skips.py")
        for name, reason in self.found.items():
            terminalreporter.line(f"{name}: {reason}", red=True)


def register_in_ci(config: pytest.Config) -> None:
    """Register the plugin where CI is set, in the process that collects all reports."""
    if os.environ.get("CI") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(UnexpectedSkips(), "unexpected-skips")
