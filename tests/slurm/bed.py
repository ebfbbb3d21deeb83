"""Start and stop a real SLURM on this host: munge, a controller, several nodes with pretended GPUs.

    python -m tests.slurm.bed start     installs slurm-wlm and munge if missing; prints what a shell needs
    python -m tests.slurm.bed stop      ends it all; harmless if nothing runs
    python -m tests.slurm.bed env       prints the shell lines again
    python -m tests.slurm.bed check     only installs, or says why this machine cannot have the cluster
    python -m tests.slurm.bed clear     stops every cluster below BED_FOLDER, where the tests have theirs

Needs root on Debian or Ubuntu. Everything is in one folder (BED_FOLDER), nothing in /etc, and all listens on loopback
only. Exit status 3: this machine cannot have the cluster, and the one message says why.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.slurm.settings import CGROUPS, Settings, limits_memory, write

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "squeue", "scontrol", "scancel")
PACKAGES = ("slurm-wlm", "munge")
LONGEST_SOCKET = 107
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class RefusedError(Exception):
    """This machine cannot have the cluster; the message says why."""


def require() -> None:
    """Raise RefusedError unless root on Debian or Ubuntu with SLURM, which is installed if it is missing."""
    if os.geteuid() != 0:
        raise RefusedError("starting SLURM daemons needs root. Run this as root, for instance in a container.")
    system = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    family = " ".join(line for line in system.splitlines() if line.startswith(("ID=", "ID_LIKE=")))
    if not any(name in family for name in ("debian", "ubuntu")) or shutil.which("apt-get") is None:
        raise RefusedError(f"SLURM is installed with apt-get, on Debian or Ubuntu only; this is {family or 'unknown'}.")
    if all(shutil.which(program, path=SYSTEM_PATH) for program in PROGRAMS):
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for line in (["apt-get", "update"], install):
        done = subprocess.run(line, capture_output=True, text=True, env=environment)
        if done.returncode != 0 and line is install:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RefusedError(f"the packages {' and '.join(PACKAGES)} cannot be installed: {last}")
    missing = [program for program in PROGRAMS if not shutil.which(program, path=SYSTEM_PATH)]
    if missing:
        raise RefusedError(f"{' and '.join(PACKAGES)} are installed, but there is no {', '.join(missing)}.")


def environment(bed: Settings) -> dict[str, str]:
    """Return the environment in which SLURM's commands, and Snakemake, speak to this cluster."""
    path = f"{bed.folder}/bin:{os.environ.get('PATH', '')}:/usr/sbin"
    return os.environ | {"SLURM_CONF": str(bed.slurm_conf), "PATH": path}


def run(bed: Settings, *line: str) -> str:
    """Run a SLURM command; return what it prints. Raises CalledProcessError."""
    done = subprocess.run(line, capture_output=True, text=True, env=environment(bed), timeout=60)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, line, done.stdout, done.stderr)
    return done.stdout


def launch(bed: Settings, daemon: str) -> None:
    """Start one daemon: `munged`, `slurmctld`, or the name of a node. Its process id is kept in the folder."""
    if daemon == "munged":
        own = {
            "key-file": "munge.key",
            "socket": "munge.socket",
            "pid-file": "munged.pid",
            "log-file": "log/munged.log",
            "seed-file": "munge.seed",
        }
        line = ["munged", "-F", "--num-threads=2", *(f"--{key}={bed.folder}/{name}" for key, name in own.items())]
    elif daemon == "slurmctld":
        line = ["slurmctld", "-D", "-f", str(bed.slurm_conf)]
    else:
        line = ["slurmd", "-D", "-f", str(bed.slurm_conf), "-N", daemon]
    with (bed.folder / f"log/{daemon}.out").open("ab") as log:
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment(bed)
        )
    _STARTED[process.pid] = process
    (bed.folder / f"pid/{daemon}").write_text(str(process.pid))


_STARTED: dict[int, subprocess.Popen[bytes]] = {}


def process_of(bed: Settings, daemon: str) -> psutil.Process | None:
    """Return the living process of a daemon that we started, or None."""
    try:
        process = psutil.Process(int((bed.folder / f"pid/{daemon}").read_text()))
        ours = str(bed.folder) in " ".join(process.cmdline())
        return process if ours and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, psutil.Error):
        return None


def end(bed: Settings, daemon: str, how: signal.Signals = signal.SIGTERM) -> None:
    """End one daemon that we started, and wait for it; after 10 seconds with SIGKILL."""
    process = process_of(bed, daemon)
    if process is not None:
        process.send_signal(how)
        if not _gone([process.pid], 10):
            process.kill()
            _gone([process.pid], 5)
    if process is not None and process.pid in _STARTED:
        _STARTED.pop(process.pid).wait(5)


def processes_on(bed: Settings, node: str) -> list[int]:
    """Return the processes of the jobs on a node: by control group, environment or name."""
    found = set()
    for kind in CGROUPS.glob(f"*/slurm_{node}"):
        for listing in kind.rglob("cgroup.procs"):
            found |= {int(line) for line in listing.read_text().split()}
    for process in psutil.process_iter():
        try:
            own = process.environ()
        except psutil.Error:
            continue
        # Node names hold the cluster's port, so that no other cluster's processes are met.
        if own.get("SLURMD_NODENAME") == node:
            found.add(process.pid)
    return sorted(found - {os.getpid()})


def lose_node(bed: Settings, node: str) -> None:
    """Let a node die as in a power cut: its daemon and all processes of its jobs, at once and without a word."""
    end(bed, node, signal.SIGKILL)
    kill_jobs(bed, node)


def kill_jobs(bed: Settings, node: str) -> None:
    """End all processes of the jobs on a node."""
    left = processes_on(bed, node)
    for _ in range(20):
        for pid in left:
            with contextlib.suppress(OSError, psutil.Error):
                os.kill(pid, signal.SIGKILL)
        _gone(left, 1)
        left = processes_on(bed, node)
        if not left:
            return
    raise TimeoutError(f"processes {left} of node {node} do not end")


def is_up(bed: Settings) -> bool:
    """Whether all daemons live and all nodes take jobs."""
    daemons = ("munged", "slurmctld", *bed.node_names)
    return all(process_of(bed, daemon) for daemon in daemons) and _ready(bed)


def wait_until_up(bed: Settings) -> None:
    """Wait until all nodes take jobs. Raises TimeoutError after 30 s."""
    _wait(lambda: is_up(bed), "the nodes")


def start(bed: Settings) -> None:
    """Start the cluster and wait until its nodes take jobs; nothing happens if it is up with these very settings."""
    require()
    if (bed.folder / "settings").exists() and (bed.folder / "settings").read_text() == repr(bed) and is_up(bed):
        return
    stop(bed)
    if len(f"{bed.folder}/munge.socket") > LONGEST_SOCKET:
        raise RefusedError(f"{bed.folder}: too long a path for a socket. Give a shorter one as BED_FOLDER.")
    if any(one.status == "LISTEN" and one.laddr.port == bed.port for one in psutil.net_connections("tcp")):
        raise RefusedError(f"port {bed.port} is taken, perhaps by another such cluster. Give another: BED_PORT=17800.")
    for name in ("state", "spool", "log", "pid", "bin", "dev"):
        (bed.folder / name).mkdir(parents=True, exist_ok=True)
    bed.folder.chmod(0o755)
    (bed.folder / "munge.key").write_bytes(os.urandom(128))
    (bed.folder / "munge.key").chmod(0o400)
    _make_devices(bed)
    write(bed)
    # A job's own srun is started without SLURM_CONF, as if the cluster's configuration were in /etc.
    wrapper = bed.folder / "bin/srun"
    srun = shutil.which("srun", path=SYSTEM_PATH)
    wrapper.write_text(f'#!/bin/sh\nexport SLURM_CONF="${{SLURM_CONF:-{bed.slurm_conf}}}"\nexec {srun} "$@"\n')
    wrapper.chmod(0o755)
    try:
        launch(bed, "munged")
        _wait(lambda: (bed.folder / "munge.socket").exists(), "munge")
        launch(bed, "slurmctld")
        for node in bed.node_names:
            launch(bed, node)
        wait_until_up(bed)
    except BaseException:
        stop(bed, keep_logs=True)
        raise
    (bed.folder / "settings").write_text(repr(bed))


def stop(bed: Settings, keep_logs: bool = False) -> None:
    """End jobs and daemons, remove control groups and the folder. Nothing else is touched."""
    if not bed.folder.exists():
        return
    for process in _snakemakes(bed):
        with contextlib.suppress(psutil.Error):
            process.kill()
    # Nodes are known by their files, so that a cluster with other settings in this folder is stopped as well.
    listed = [path.name for path in (bed.folder / "pid").glob("*")]
    nodes = [name for name in listed if name not in ("munged", "slurmctld")]
    for daemon in ("slurmctld", *nodes):
        end(bed, daemon)
    for node in nodes:
        kill_jobs(bed, node)
    end(bed, "munged")
    for node in nodes:
        for group in sorted(CGROUPS.glob(f"*/slurm_{node}/**/"), key=lambda path: -len(path.parts)):
            with contextlib.suppress(OSError, psutil.Error):
                group.rmdir()
    if not keep_logs:
        shutil.rmtree(bed.folder)


def _snakemakes(bed: Settings) -> list[psutil.Process]:
    """Return the Snakemakes that speak to this cluster, and outlived the test that started them."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SLURM_CONF") == str(bed.slurm_conf) and "snakemake" in process.cmdline():
                found.append(process)
    return found


def clear(folder: Path) -> None:
    """Stop every cluster in the folders of a folder, and unmount all that is mounted below `folder`'s tests."""
    for path in sorted(folder.glob("*/slurm.conf")):
        stop(Settings(path.parent))
    below = f"{folder}/"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place = line.split()[1].replace("\\040", " ")
        if place.startswith(below):
            subprocess.run(["umount", "--lazy", place], check=False)


def _make_devices(bed: Settings) -> None:
    """Make the GPUs' device files: copies of /dev/null, for SLURM wants character devices."""
    for number in range(bed.gpus):
        path = bed.folder / f"dev/gpu{number}"
        path.unlink(missing_ok=True)
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError as error:
            raise RefusedError(
                f"{path}: this container may not make device files. Start it with --cap-add MKNOD, or set BED_GPUS=0."
            ) from error


def _ready(bed: Settings) -> bool:
    try:
        states = run(bed, "sinfo", "--partition=all", "--Node", "--noheader", "--format=%T").split()
    except (OSError, subprocess.SubprocessError):
        return False
    return len(states) == bed.nodes and all(state in ("idle", "mixed", "allocated", "completing") for state in states)


def _wait(condition, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not start within {seconds:.0f} s; see the logs of the cluster's folder")
        time.sleep(0.1)


def _gone(pids: list[int], seconds: float) -> bool:
    """Wait for processes to end; a zombie counts as ended, for nobody but its parent can remove it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        alive = []
        for pid in pids:
            with contextlib.suppress(OSError, psutil.Error):
                alive += [pid] if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else []
        if not alive:
            return True
        time.sleep(0.05)
    return False


def shell_lines(bed: Settings) -> str:
    """Return what a shell needs to speak to the cluster."""
    return f'export SLURM_CONF="{bed.slurm_conf}" PATH="{bed.folder}/bin:$PATH"'


def main(arguments: list[str]) -> int:
    """Obey the command line; return the exit status."""
    bed = Settings.of_environment()
    if arguments not in (["start"], ["stop"], ["env"], ["check"], ["clear"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        if arguments == ["start"]:
            start(bed)
            limit = "enforced by the kernel" if limits_memory() else "polled (no writable control groups here)"
            print(f"# SLURM is up: {bed.nodes} nodes, memory limits {limit}", file=sys.stderr)
        if arguments == ["check"]:
            require()
        if arguments == ["stop"]:
            stop(bed)
        if arguments == ["clear"]:
            clear(bed.folder)
    except RefusedError as error:
        print(f"test bed: {error}", file=sys.stderr)
        return 3
    if arguments[0] in ("start", "env"):
        print(shell_lines(bed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
