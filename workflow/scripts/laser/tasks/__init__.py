"""Datasets, prompts and scoring: what is asked of a model and how an answer is judged."""
