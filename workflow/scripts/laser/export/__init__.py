"""Edited checkpoints for others to load."""
