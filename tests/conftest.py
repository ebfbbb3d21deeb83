"""What all tests share.

One thread per process: workers with two threads each stand in each other's way, and sums stay in one order."""

import gc
import json
import os

from laser.cluster import forks
from tests.forks import JOBS

os.environ["OMP_NUM_THREADS"] = "1"

LONGEST = (
    "tests/audit/test_tamper.py",
    "tests/workflow/test_workflow.py",
    "tests/workflow/",
    "tests/io/test_shared_cache.py",
    "tests/audit/",
    "tests/engine/test_fast.py",
    "tests/report/",
    "tests/claims/test_nulls.py",
    "tests/training/test_train.py",
)
"""Files that take longest: they start first, so that no worker is left alone with one at the end.

Of the audit's files, which share a study, one comes before all others: no worker waits for another to make it."""


def pytest_configure(config):
    """Start the process of which the jobs of all runs are forks, once for all workers, which inherit its address."""
    if not hasattr(config, "workerinput"):
        os.environ[JOBS] = json.dumps(forks.start())


def pytest_collection_modifyitems(items):
    """Put the tests of the longest files first; the order within a file stays as it is."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: next((places[name] for name in LONGEST if item.nodeid.startswith(name)), len(LONGEST)))


def pytest_collection_finish():
    """Spare the garbage collector the hundred thousands of objects of imported modules, which all stay to the end."""
    gc.freeze()
