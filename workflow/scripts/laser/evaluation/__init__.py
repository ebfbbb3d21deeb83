"""The evaluation that each kind of job performs."""
