"""Statistics, comparisons, and how tables and figures look."""
