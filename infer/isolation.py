"""Stands in until isolation is there."""

from types import TracebackType
from typing import Any, Self

from xray_infer.prepare import Prepared


class IsolatedPrepare:
    """Nothing yet."""

    def __init__(self, **options: Any) -> None:
        raise NotImplementedError

    def __call__(self, data: bytes) -> Prepared:
        """Nothing yet."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing yet."""
