"""Evaluation of a model under many edits: a fast engine, a naive one, and their parts."""
