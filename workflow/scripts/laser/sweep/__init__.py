"""Evaluation of a model under interventions: engines, sweep, selection."""
