"""Snakemake's workflow catalog: what it checks, and its standard usage as a module and from a bare clone."""

import os
import subprocess
import sys

import pytest
import yaml

from tests.workflow.runner import ROOT, counted, forked

IDENTITY = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def git(folder, *arguments):
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | IDENTITY).stdout


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """The repository as a host would have it: the files that git knows, or would, as they are now."""
    host = tmp_path_factory.mktemp("host") / "someone/laser"
    files = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (host / name).parent.mkdir(parents=True, exist_ok=True)
            (host / name).write_bytes((ROOT / name).read_bytes())
    git(host, "init", "--quiet", "--initial-branch", "main")
    git(host, "add", "--all", "--force")
    git(host, "commit", "--quiet", "--message", "all")
    return host


def plan(folder, *arguments, **environment):
    """Return the jobs by rule of a dry run in a folder."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", *arguments]
    done = forked(command, os.environ | environment, folder)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return counted(done)


def test_a_bare_clone_plans(hosted, tmp_path):
    git(tmp_path, "clone", "--quiet", str(hosted), "clone")
    clone = tmp_path / "clone"
    whole = plan(clone, "--config", "study=quickstart")
    assert whole.pop("all") == 1 and whole["total"] > 50
    entered = plan(clone, "--snakefile", "workflow/Snakefile", "--config", "study=quickstart")
    assert entered.pop("everything") == 1
    assert entered == whole


def test_the_standard_usage_as_a_module_plans(hosted, tmp_path):
    (tmp_path / "Snakefile").write_text(
        'configfile: "config/config.yaml"\n\n\n'
        "module laser:\n"
        "    snakefile:\n"
        '        github("someone/laser", path="workflow/Snakefile", branch="main")\n'
        "    config:\n"
        "        config\n\n\n"
        "use rule * from laser as laser_*\n"
    )
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("study: quickstart\nresults: made\n")
    # Instead of the host, its stand-in; and a cache of sources of its own.
    stand_in = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{hosted.parent.parent}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    jobs = plan(tmp_path, **stand_in)
    assert jobs["laser_everything"] == 1 and jobs["laser_sweep"] > 10 and jobs["laser_table1"] == 1
    (checkout,) = (tmp_path / ".snakemake/checkouts").iterdir()
    assert checkout.name == git(hosted, "rev-parse", "HEAD").strip()
    assert (checkout / "workflow/scripts/laser/config/study.py").is_file()


def test_what_the_catalogue_asks_for_is_there():
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme
    assert (ROOT / "workflow/Snakefile").is_file() and (ROOT / "config/README.md").is_file()
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) <= {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["software-stack-deployment"]) <= {"conda", "apptainer", "apptainer+conda"}
    schema = yaml.safe_load((ROOT / "config/schemas/config.schema.yaml").read_text())
    assert all("description" in key for key in schema["properties"].values())
