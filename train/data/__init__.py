"""Data before training: groups, splits, what is wrong with it, and what guesses without lungs reach."""
