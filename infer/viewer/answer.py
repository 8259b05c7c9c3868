"""The panel with the model's answer: label, confidence, bars, verdict; heat-map controls; the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QGroupBox, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.classifier import Prediction
from xray_infer.model.manifest import ModelManifest
from xray_infer.run.alarm import FEW, STRANGE, Verdict
from xray_infer.run.results import OK, Rules
from xray_infer.viewer.heat_controls import HeatControls
from xray_infer.viewer.style import QUIET, WARNING, WrappedLabel, class_colour
from xray_infer.viewer.words import MODEL_LOADING, confidence_of, label_of, model_of, precision_of, verdict_of

_BAR_HEIGHT: Final = 26


class ProbabilityBars(QWidget):
    """One bar per class; a click on a bar chooses the class whose heat map is drawn."""

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._class_names: Sequence[str] = ()
        self._probabilities: Mapping[str, float] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_classes(self, class_names: Sequence[str]) -> None:
        """Make room for a bar of each class."""
        self._class_names = class_names
        self.setFixedHeight(_BAR_HEIGHT * len(class_names))

    def show_probabilities(self, probabilities: Mapping[str, float]) -> None:
        """Show probabilities by class, 0..1; an empty mapping shows that there is no answer."""
        self._probabilities = probabilities
        said = ", ".join(f"{name} {value:.1%}" for name, value in probabilities.items())
        self.setAccessibleName(f"Probabilities: {said or 'none'}")
        self.update()

    def sizeHint(self) -> QSize:
        """Qt's hook."""
        return QSize(240, _BAR_HEIGHT * len(self._class_names))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt's hook."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = painter.fontMetrics()
        names = max(map(metrics.horizontalAdvance, self._class_names), default=0)
        names = min(names, self.width() // 2) + 8
        numbers = metrics.horizontalAdvance("100.0 %") + 8
        most = self.width() - names - numbers
        for number, name in enumerate(self._class_names):
            line = QRect(0, number * _BAR_HEIGHT, self.width(), _BAR_HEIGHT)
            middle = Qt.AlignmentFlag.AlignVCenter
            painter.setPen(self.palette().text().color())
            shown = metrics.elidedText(name, Qt.TextElideMode.ElideRight, names - 8)
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | middle, shown)
            track = QRectF(names, line.top() + 6, most, _BAR_HEIGHT - 12)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.palette().base())
            painter.drawRoundedRect(track, 3, 3)
            value = self._probabilities.get(name)
            if value is not None:
                painter.setBrush(class_colour(self._class_names, name))
                painter.drawRoundedRect(
                    QRectF(track.left(), track.top(), track.width() * value, track.height()), 3, 3
                )
                painter.setPen(self.palette().text().color())
                painter.drawText(line, Qt.AlignmentFlag.AlignRight | middle, f"{value:.1%}")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt's hook."""
        number = int(event.position().y()) // _BAR_HEIGHT
        if 0 <= number < len(self._class_names):
            self.picked.emit(self._class_names[number])


class AnswerPanel(QWidget):
    """See the module."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedWidth(360)
        self._manifest: ModelManifest | None = None
        self._rules = Rules()
        self._name, self._label = WrappedLabel(), WrappedLabel()
        large = QFont(self._label.font())
        large.setPointSizeF(large.pointSizeF() * 1.8)
        large.setBold(True)
        self._label.setFont(large)
        self._confidence, self._verdict, self._precision = WrappedLabel(), WrappedLabel(), WrappedLabel()
        self.bars, self.heat = ProbabilityBars(), HeatControls()
        self._model, self._alarm = WrappedLabel(MODEL_LOADING), WrappedLabel()
        about = QGroupBox("Model")
        QVBoxLayout(about).addWidget(self._model)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        for widget in (self._name, self._label, self._confidence, self.bars, self._verdict, self._precision):
            layout.addWidget(widget)
        layout.addWidget(self.heat)
        layout.addWidget(about)
        layout.addStretch()
        self.show_alarm(None)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        notice = WrappedLabel(RESEARCH_NOTICE)
        notice.setStyleSheet(f"color: {WARNING.name()}; font-weight: bold; padding: 8px")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll)
        whole.addWidget(self._alarm)
        whole.addWidget(notice)  # never scrolls out of view
        self.bars.picked.connect(self.heat.pick)

    def show_model(self, manifest: ModelManifest, rules: Rules) -> None:
        """Show what the model file says of the model."""
        self._manifest, self._rules = manifest, rules
        self.bars.show_classes(manifest.class_names)
        self.heat.show_classes(manifest.class_names)
        self._model.setText("\n".join(model_of(manifest)))

    def show_alarm(self, verdict: Verdict | None) -> None:
        """Show what the alarm says of all films so far; nothing for None, and while they are too few."""
        text = "" if verdict is None or verdict.status == FEW else verdict.sentence
        strange = verdict is not None and verdict.status == STRANGE
        self._alarm.setText(text)
        self._alarm.setStyleSheet(f"color: {(WARNING if strange else QUIET).name()}; padding: 8px")
        self._alarm.setVisible(bool(text))

    def show_problem(self, text: str) -> None:
        """Show why there is no model."""
        self._model.setText(text)

    def show_answer(self, name: str, prediction: Prediction | None) -> None:
        """Show the answer for a film; None: there is none yet."""
        self._name.setText(name)
        self._label.setText(label_of(prediction) if name else "")
        self.bars.show_probabilities(prediction.probabilities if prediction else {})
        colour, confidence, verdict, precision = QUIET, "", "", ""
        if prediction is not None and self._manifest is not None:
            ok = prediction.status == OK
            colour = class_colour(prediction.row.class_names, prediction.label) if ok else WARNING
            confidence = confidence_of(prediction, self._manifest)
            verdict = verdict_of(prediction, self._rules)
            precision = precision_of(prediction.label, self._manifest)
        self._label.setStyleSheet(f"color: {colour.name()}")
        for label, text in (
            (self._confidence, confidence),
            (self._verdict, verdict),
            (self._precision, precision),
        ):
            label.setText(text)
            label.setVisible(bool(text))
