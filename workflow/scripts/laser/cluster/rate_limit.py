"""Snakemake's limit on the jobs that start within a span of time."""

from __future__ import annotations

from typing import Any

DEFAULT = (100, 1.0)
"""Jobs and seconds of the limit that Snakemake sets if none is given: `--max-jobs-per-timespan 100/1s`."""


def remove_default(scheduler: Any, settings: Any) -> None:
    """Take Snakemake's own limit from its scheduler; one that the user gave stays.

    Under a limit, Snakemake looks again at every job that could start once per span and, for ever after, once more per
    span for every look before: 27 looks a second after 50 minutes, a quarter of a processor. And it ends only when the
    last of these spans is over. Without one it looks when a job ends, which is when another can start.

    Args:
        scheduler: Snakemake's scheduler, before it starts a job (`workflow.scheduler` in `onstart`).
        settings: its settings (`workflow.scheduling_settings`).
    """
    limit = settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, float(limit.timespan)) == DEFAULT:
        scheduler.job_rate_limiter = None
