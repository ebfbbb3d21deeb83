"""LASER replication: layer-selective rank reduction of trained transformers, evaluated and audited."""

__version__ = "0.1.0"
