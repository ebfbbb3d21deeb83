"""The laboratory: a corpus in which every count and every wrong answer is known, and models trained only on it."""
