"""Edited checkpoints that others can load."""
