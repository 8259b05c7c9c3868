"""What reads and decodes for the eye: the picture that is looked at, its neighbours, the thumbnails in view.

One thread and one child process: a decoder that crashes, hangs or holds Python's lock never reaches the
window. Requests replace each other: what is no longer in view is not decoded any more.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QObject, Signal

from xray_infer.errors import RejectedError, XrayError
from xray_infer.images.decode import out_of_memory
from xray_infer.images.gray import Picture
from xray_infer.images.isolation import IsolatedPicture
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.outputs.shrinking import shrunk
from xray_infer.run.results import ERROR, REJECTED
from xray_infer.run.sources import Item
from xray_infer.viewer.images import to_image
from xray_infer.viewer.render import Levels, Window
from xray_infer.viewer.threads import Thread

THUMBNAIL_SIDE: Final = 64  # of the list's pictures, in pixels, at most
PATIENCE_S: Final = 1.0  # with what is not looked at, once something else is
MOST_PICTURES: Final = 3  # that are kept: the one in view and its neighbours
MOST_BYTES: Final = 256 << 20  # of them, unless one alone is larger


@dataclass(frozen=True, slots=True)
class Request:
    """A film of an opening: `number` is the opening's."""

    number: int
    place: int
    item: Item

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from others."""
        return self.number, self.place


class PictureLoader(Thread):
    """See the module. All but `work` is for the interface thread."""

    loaded = Signal(int, int, object)  # an opening's number, a place, its Levels
    refused = Signal(int, int, str, str)  # a status and a reason: why there is no picture
    thumbnail = Signal(int, int, object)  # a QImage

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wake = threading.Condition()
        self._current: Request | None = None
        self._ahead: list[Request] = []
        self._thumbnails: list[Request] = []
        self._busy: tuple[tuple[int, int] | None, float] = (None, 0.0)  # a film's key, since when
        self._ended = False
        self._kept: OrderedDict[tuple[int, int], Levels] = OrderedDict()  # this thread's
        self._decode = IsolatedPicture()

    def show(self, request: Request, ahead: Sequence[Request] = ()) -> None:
        """Load a picture before all else, then those that may be looked at next.

        What is being decoded for another film, and takes long, is given up.
        """
        with self._wake:
            self._current, self._ahead = request, list(ahead)
            key, since = self._busy
            if key not in (None, request.key) and time.monotonic() - since > PATIENCE_S:
                self._decode.close()  # nothing else begins meanwhile: that takes the lock
            self._wake.notify()

    def want_thumbnails(self, requests: Sequence[Request]) -> None:
        """Make these thumbnails, the first first, and none that was asked for before."""
        with self._wake:
            self._thumbnails = list(requests)[::-1]
            self._wake.notify()

    def forget(self) -> None:
        """Drop all requests."""
        with self._wake:
            self._current, self._ahead, self._thumbnails = None, [], []

    def end(self) -> None:
        """End, also where a decoder hangs."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._decode.stop()

    def work(self) -> None:
        """See `Thread.work`."""
        with self._decode:
            while (job := self._next()) is not None:
                kind, request = job
                if kind == "thumbnail":
                    self._make_thumbnail(request)
                else:
                    self._load(request, told=kind == "current")

    def _next(self) -> tuple[str, Request] | None:
        with self._wake:
            self._busy = None, 0.0
            while not self._ended:
                if job := self._chosen():
                    self._busy = job[1].key, time.monotonic()
                    return job
                self._wake.wait()
        return None

    def _chosen(self) -> tuple[str, Request] | None:
        if self._current:
            request, self._current = self._current, None
            return "current", request
        if self._thumbnails:
            return "thumbnail", self._thumbnails.pop()
        return ("ahead", self._ahead.pop(0)) if self._ahead else None

    def _load(self, request: Request, *, told: bool) -> None:
        levels = self._kept.get(request.key)
        if levels is None:
            try:
                levels = Levels.of(self._picture(request, side=0))
            except XrayError as error:
                if told and not self._ended:
                    status = REJECTED if isinstance(error, RejectedError) else ERROR
                    self.refused.emit(*request.key, status, str(error))
                return
            self._keep(request.key, levels)
        self._kept.move_to_end(request.key)
        if told:
            self.loaded.emit(*request.key, levels)

    def _picture(self, request: Request, *, side: int) -> Picture:
        try:
            return self._decode(request.item.read(DEFAULT_LIMITS), side=side)
        except MemoryError as error:
            raise out_of_memory() from error

    def _keep(self, key: tuple[int, int], levels: Levels) -> None:
        self._kept[key] = levels
        while len(self._kept) > 1 and (
            len(self._kept) > MOST_PICTURES or sum(one.size_bytes for one in self._kept.values()) > MOST_BYTES
        ):
            self._kept.popitem(last=False)

    def _make_thumbnail(self, request: Request) -> None:
        try:
            picture = self._picture(request, side=THUMBNAIL_SIDE)
        except XrayError:
            return  # its row says why
        small = shrunk(picture.values, THUMBNAIL_SIDE)
        self.thumbnail.emit(*request.key, to_image(Window.of(picture).table(small.dtype)[small]).copy())
