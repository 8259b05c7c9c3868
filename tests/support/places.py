"""Where the repository keeps what tests look at."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SAMPLES = REPOSITORY / "samples"
SUPPORT = Path(__file__).parent
