"""What the model says of a film: label, confidence, bars, verdict; the heat map's controls; the model."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QGroupBox, QScrollArea, QVBoxLayout, QWidget

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.classifier import Prediction
from xray_infer.model.manifest import ModelManifest
from xray_infer.run.results import OK, Rules
from xray_infer.viewer.bars import Bars
from xray_infer.viewer.heat_controls import HeatControls
from xray_infer.viewer.labels import Wrapped
from xray_infer.viewer.style import CLASS_COLOURS, QUIET, WARNING
from xray_infer.viewer.words import confidence_of, label_of, model_of, said_before, verdict_of


class AnswerPanel(QWidget):
    """See the module."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedWidth(360)
        self._manifest: ModelManifest | None = None
        self._rules = Rules()
        self._name, self._label = Wrapped(), Wrapped()
        large = QFont(self._label.font())
        large.setPointSizeF(large.pointSizeF() * 1.8)
        large.setBold(True)
        self._label.setFont(large)
        self._confidence, self._verdict, self._said = Wrapped(), Wrapped(), Wrapped()
        self.bars, self.heat = Bars(), HeatControls()
        self._model = Wrapped("The model is being loaded.")
        about = QGroupBox("Model")
        QVBoxLayout(about).addWidget(self._model)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        for widget in (self._name, self._label, self._confidence, self.bars, self._verdict, self._said):
            layout.addWidget(widget)
        layout.addWidget(self.heat)
        layout.addWidget(about)
        layout.addStretch()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        notice = Wrapped(RESEARCH_NOTICE)
        notice.setStyleSheet(f"color: {WARNING.name()}; font-weight: bold; padding: 8px")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll)
        whole.addWidget(notice)  # never scrolls out of view
        self.bars.picked.connect(self.heat.pick)

    def know(self, manifest: ModelManifest, rules: Rules) -> None:
        """Say what is known of the model."""
        self._manifest, self._rules = manifest, rules
        self._model.setText("\n".join(model_of(manifest)))

    def show_problem(self, text: str) -> None:
        """Say why there is no model."""
        self._model.setText(text)

    def show_answer(self, name: str, prediction: Prediction | None) -> None:
        """Show what is known of a film, None: nothing yet."""
        self._name.setText(name)
        self._label.setText(label_of(prediction) if name else "")
        self.bars.show_chances(prediction.probabilities if prediction else {})
        colour, confidence, verdict, said = QUIET, "", "", ""
        if prediction is not None and self._manifest is not None:
            ok = prediction.status == OK
            colour = CLASS_COLOURS.get(prediction.label, QUIET) if ok else WARNING
            confidence = confidence_of(prediction, self._manifest)
            verdict = verdict_of(prediction, self._rules)
            said = said_before(prediction.label, self._manifest)
        self._label.setStyleSheet(f"color: {colour.name()}")
        for label, text in ((self._confidence, confidence), (self._verdict, verdict), (self._said, said)):
            label.setText(text)
            label.setVisible(bool(text))
