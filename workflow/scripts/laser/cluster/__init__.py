"""What SLURM and interrupted runs need."""
