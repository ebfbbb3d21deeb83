"""Checks a finished study from its files only: no model, no cache, no network, and none of the code that made it."""
