"""LASER replication: layer-selective rank reduction of trained transformers, evaluated and audited."""

import gc

__version__ = "0.1.0"

# Most jobs are short, and most of their objects are what imports make, which stays. With Python's own 700 new objects
# between two searches for garbage, these searches took a tenth of a small job (0.6 of 6.6 s of a sweep of lab-llama).
gc.set_threshold(100_000, 20, 100)
