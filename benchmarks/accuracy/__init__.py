"""What every row answers to labelled images, and what follows from it, with intervals and tests."""
