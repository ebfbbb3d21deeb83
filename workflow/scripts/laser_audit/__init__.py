"""Checking a finished study from its files alone: no model, no cache, no network, and none of the code that made it."""
