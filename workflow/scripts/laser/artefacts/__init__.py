"""A module per table or figure."""
