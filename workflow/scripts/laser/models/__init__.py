"""Checkpoints: their sources, how they are loaded, and where they store their matrices."""
