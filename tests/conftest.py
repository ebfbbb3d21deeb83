"""One thread per process: two workers with two threads each stand in each other's way, and sums stay in one order."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
