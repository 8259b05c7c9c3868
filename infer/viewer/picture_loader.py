"""Reads and decodes pictures for the window: the film in view, its neighbours, the thumbnails in view.

One thread and one child process: a decoder that crashes, hangs or holds Python's lock never reaches the
window. Requests replace each other: a picture that has left the view is not decoded any more.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
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
from xray_infer.viewer.render import ArrayImage, ImagePyramid, WindowLevel
from xray_infer.viewer.threads import WorkerThread

THUMBNAIL_SIDE: Final = 64  # longer side of a thumbnail, in pixels, at most
PATIENCE_S: Final = 1.0  # how long a film that is not in view may be decoded once another one is
MOST_PICTURES: Final = 3  # pictures in memory: the one in view and its neighbours
MOST_BYTES: Final = 256 << 20  # of these pictures together, unless one alone is larger


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """Asks for the picture of the film at `place` in the worklist of this number."""

    number: int
    place: int
    item: Item

    @property
    def key(self) -> tuple[int, int]:
        """What tells the film from all others."""
        return self.number, self.place


class Purpose(Enum):
    """What a picture is decoded for."""

    IN_VIEW = auto()
    THUMBNAIL = auto()
    AHEAD = auto()


class PictureLoader(WorkerThread):
    """See the module. All methods but `work` are for the interface thread."""

    loaded = Signal(int, int, object)  # a worklist's number, a place, its ImagePyramid
    refused = Signal(int, int, str, str)  # number and place; a status and a reason: why there is no picture
    thumbnail = Signal(int, int, object)  # number and place; a QImage

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wake = threading.Condition()
        self._current: PictureRequest | None = None
        self._ahead: list[PictureRequest] = []
        self._thumbnails: list[PictureRequest] = []
        self._busy: tuple[tuple[int, int] | None, float] = (None, 0.0)  # a film's key, since when
        self._ended = False
        self._kept: OrderedDict[tuple[int, int], ImagePyramid] = OrderedDict()  # this thread's alone
        self._decode = IsolatedPicture()

    def show(self, request: PictureRequest, ahead: Sequence[PictureRequest] = ()) -> None:
        """Load this picture first, then those that may be in view next.

        Decoding of another film that takes long is given up.
        """
        with self._wake:
            self._current, self._ahead = request, list(ahead)
            key, since = self._busy
            if key not in (None, request.key) and time.monotonic() - since > PATIENCE_S:
                self._decode.close()  # nothing else begins meanwhile: that takes the lock
            self._wake.notify()

    def show_thumbnails(self, requests: Sequence[PictureRequest]) -> None:
        """Make these thumbnails in this order, and none of an earlier call."""
        with self._wake:
            self._thumbnails = list(requests)[::-1]
            self._wake.notify()

    def forget(self) -> None:
        """Drop all requests."""
        with self._wake:
            self._current, self._ahead, self._thumbnails = None, [], []

    def end(self) -> None:
        """End the thread, even if a decoder hangs."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._decode.stop()

    def work(self) -> None:
        """See `WorkerThread.work`."""
        with self._decode:
            while (job := self._next()) is not None:
                purpose, request = job
                if purpose is Purpose.THUMBNAIL:
                    self._make_thumbnail(request)
                else:
                    self._load(request, announce=purpose is Purpose.IN_VIEW)

    def _next(self) -> tuple[Purpose, PictureRequest] | None:
        with self._wake:
            self._busy = None, 0.0
            while not self._ended:
                if job := self._chosen():
                    self._busy = job[1].key, time.monotonic()
                    return job
                self._wake.wait()
        return None

    def _chosen(self) -> tuple[Purpose, PictureRequest] | None:
        if self._current:
            request, self._current = self._current, None
            return Purpose.IN_VIEW, request
        if self._thumbnails:
            return Purpose.THUMBNAIL, self._thumbnails.pop()
        return (Purpose.AHEAD, self._ahead.pop(0)) if self._ahead else None

    def _load(self, request: PictureRequest, *, announce: bool) -> None:
        pyramid = self._kept.get(request.key)
        if pyramid is None:
            try:
                pyramid = ImagePyramid.of(self._picture(request, side=0))
            except XrayError as error:
                if announce and not self._ended:
                    status = REJECTED if isinstance(error, RejectedError) else ERROR
                    self.refused.emit(*request.key, status, str(error))
                return
            self._keep(request.key, pyramid)
        self._kept.move_to_end(request.key)
        if announce:
            self.loaded.emit(*request.key, pyramid)

    def _picture(self, request: PictureRequest, *, side: int) -> Picture:
        try:
            return self._decode(request.item.read(DEFAULT_LIMITS), side=side)
        except MemoryError as error:
            raise out_of_memory() from error

    def _keep(self, key: tuple[int, int], pyramid: ImagePyramid) -> None:
        self._kept[key] = pyramid
        while len(self._kept) > 1 and (
            len(self._kept) > MOST_PICTURES or sum(one.size_bytes for one in self._kept.values()) > MOST_BYTES
        ):
            self._kept.popitem(last=False)

    def _make_thumbnail(self, request: PictureRequest) -> None:
        try:
            picture = self._picture(request, side=THUMBNAIL_SIDE)
        except XrayError:
            return  # the film's answer says why
        small = shrunk(picture.values, THUMBNAIL_SIDE)
        gray = WindowLevel.of(picture).table(small.dtype)[small]
        self.thumbnail.emit(*request.key, ArrayImage(gray).copy())
