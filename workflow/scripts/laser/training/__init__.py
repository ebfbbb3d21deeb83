"""The laboratory: a corpus whose every count and every wrong answer is known, and models trained on it alone."""
