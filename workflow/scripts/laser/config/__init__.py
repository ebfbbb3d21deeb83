"""Configuration: studies, their schema, the plan, and fingerprints of code. Imports no heavy library."""
