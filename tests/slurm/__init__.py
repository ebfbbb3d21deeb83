"""A real SLURM on one host, and the tests that run on it. Only `make test-slurm` collects them."""
