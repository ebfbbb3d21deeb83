"""Checkpoints: where they come from, how they are loaded, and where their matrices are."""
