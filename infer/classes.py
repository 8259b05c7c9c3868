"""The three classes, in the order of the model's outputs, and the notice shown with every result."""

from typing import Final

CLASS_NAMES: Final = ("covid", "pneumonia", "normal")

RESEARCH_NOTICE: Final = "Research use only. Not a medical device, not for diagnosis."
HEATMAP_NOTICE: Final = "Shows what moved the score; it is not a localisation of disease."
