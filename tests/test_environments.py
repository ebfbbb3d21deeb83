"""The pip, conda and container forms of the environment agree, and the lock holds all that is asked for."""

import re
from pathlib import Path

import yaml

ENVS = Path(__file__).resolve().parents[1] / "envs"


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins():
    lines = (ENVS / "requirements.txt").read_text().splitlines()
    return {canonical(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line and line[0] != "#"}


def test_the_lock_pins_everything_that_is_asked_for():
    locked = pins()
    for line in (ENVS / "requirements.in").read_text().splitlines():
        wanted = line.split("#")[0].strip()
        if wanted:
            name, _, version = wanted.partition("==")
            assert canonical(name) in locked
            assert version in ("", locked[canonical(name)])


def test_conda_and_pip_agree():
    listed = yaml.safe_load((ENVS / "laser.yaml").read_text())["dependencies"]
    (from_pypi,) = [one["pip"] for one in listed if isinstance(one, dict)]
    from_conda = [one for one in listed if isinstance(one, str) and one != "pip" and not one.startswith("python=")]
    locked = pins()
    for one in from_conda + from_pypi:
        name, version = re.split("==?", one)
        assert locked[canonical(name)] == version, one


def test_the_container_installs_the_lock_into_the_python_of_conda():
    text = (ENVS / "laser.def").read_text()
    sections = dict(re.findall(r"^%(\w+)\n(.*?)(?=^%|\Z)", text, re.M | re.S))
    (copied,) = re.findall(r"^\s*(\S+) (\S+)$", sections["files"], re.M)
    assert (ENVS.parent / copied[0]).samefile(ENVS / "requirements.txt")
    installs = re.findall(r"pip install (.*)", text)
    assert len(installs) == 1 and installs[0].split()[-2:] == ["--requirement", copied[1]]
    (conda,) = re.findall(r"- python=(\S+)", (ENVS / "laser.yaml").read_text())
    assert re.search(rf"^From: python:{re.escape(conda)}(-\S+)?$", text, re.M)
