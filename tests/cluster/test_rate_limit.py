"""Snakemake's own limit on the rate of jobs is taken away; a user's stays."""

from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser
from snakemake.settings.types import MaxJobsPerTimespan

from laser.cluster.rate_limit import remove_default


def left(limit):
    scheduler = SimpleNamespace(job_rate_limiter="limiter")
    remove_default(scheduler, SimpleNamespace(max_jobs_per_timespan=limit))
    return scheduler.job_rate_limiter


def test_the_limit_that_snakemake_sets_without_being_asked_is_removed():
    limit = get_argument_parser().get_default("max_jobs_per_timespan")
    assert left(MaxJobsPerTimespan.parse_choice(limit)) is None


@pytest.mark.parametrize("given", ["100/1m", "99/1s", "10/5s"])
def test_a_limit_that_a_user_gives_stays(given):
    assert left(MaxJobsPerTimespan.parse_choice(given)) == "limiter"


def test_without_a_limit_nothing_is_done():
    assert left(None) == "limiter"
