"""What the one-host cluster looks like, and its configuration files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Settings:
    """One cluster. Two with different ports and folders do not meet.

    Attributes:
        folder: everything that the cluster writes; kept short, for socket paths are limited to 107 bytes.
        nodes: how many nodes there are.
        cpus: CPUs of each node, as SLURM counts them; the host may have fewer.
        memory: MB of each node, as SLURM counts them.
        gpus: pretended GPUs of each node.
        gpu_type: their type, as in `--gpus=<type>:1`.
        port: of the controller; the nodes have the ones after it.
    """

    folder: Path
    nodes: int = 3
    cpus: int = 16
    memory: int = 8000
    gpus: int = 2
    gpu_type: str = "h100"
    port: int = 16800

    @classmethod
    def of_environment(cls) -> Settings:
        """Read BED_FOLDER, BED_NODES, BED_CPUS, BED_MEMORY, BED_GPUS, BED_GPU_TYPE and BED_PORT."""
        given = {key: os.environ.get(f"BED_{key.upper()}") for key in ("nodes", "cpus", "memory", "gpus", "port")}
        numbers = {key: int(value) for key, value in given.items() if value}
        folder = Path(os.environ.get("BED_FOLDER") or ROOT / "build/slurm").resolve()
        return cls(folder, gpu_type=os.environ.get("BED_GPU_TYPE") or "h100", **numbers)

    @property
    def node_names(self) -> list[str]:
        """Names of the nodes; the port is in them, because SLURM names control groups after nodes."""
        return [f"p{self.port}n{number}" for number in range(1, self.nodes + 1)]

    @property
    def pattern(self) -> str:
        """All nodes, as SLURM writes ranges."""
        return f"p{self.port}n[1-{self.nodes}]"

    @property
    def slurm_conf(self) -> Path:
        """The file that SLURM_CONF names."""
        return self.folder / "slurm.conf"


def limits_memory() -> bool:
    """Whether the kernel lets us limit memory: control groups of version 1, writable."""
    probe = CGROUPS / f"memory/laser-bed-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return all((CGROUPS / name).is_dir() for name in ("freezer", "cpuset", "devices"))


def slurm_conf(bed: Settings) -> str:
    """Return slurm.conf: loopback only, root, no database, memory enforced by the kernel where that is possible.

    SlurmdTimeout is short so that a dead node is noticed within a test. EnforcePartLimits refuses impossible jobs
    instead of letting them wait for ever. A job of the partition `urgent` ends those of `all` that are in its way.
    """
    kernel = limits_memory()
    limit = (
        "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup\nJobAcctGatherType=jobacct_gather/cgroup"
        if kernel
        else "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/linux\n"
        "JobAcctGatherParams=OverMemoryKill"
    )
    gres = f" Gres=gpu:{bed.gpu_type}:{bed.gpus}" if bed.gpus else ""
    return f"""\
ClusterName=bed
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={bed.port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={bed.folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={bed.folder}/state
SlurmdSpoolDir={bed.folder}/spool/%n
SlurmctldPidFile={bed.folder}/slurmctld.pid
SlurmdPidFile={bed.folder}/slurmd.%n.pid
SlurmctldLogFile={bed.folder}/log/slurmctld.log
SlurmdLogFile={bed.folder}/log/slurmd.%n.log
SlurmdParameters=config_overrides
{limit}
JobAcctGatherFrequency=2
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
EnforcePartLimits=ALL
MpiDefault=none
MinJobAge=3600
KillWait=5
SlurmdTimeout=10
SlurmctldTimeout=10
ReturnToService=2
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
NodeName={bed.pattern} NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{bed.port + 11}-{bed.port + 10 + bed.nodes}] \
CPUs={bed.cpus} SocketsPerBoard=1 CoresPerSocket={bed.cpus} RealMemory={bed.memory}{gres}
PartitionName=all Nodes={bed.pattern} Default=YES MaxTime=7-0 PriorityTier=1
PartitionName=urgent Nodes={bed.pattern} MaxTime=7-0 PriorityTier=2
"""


def write(bed: Settings) -> None:
    """Write slurm.conf, cgroup.conf and gres.conf into the cluster's folder."""
    bed.slurm_conf.write_text(slurm_conf(bed))
    (bed.folder / "cgroup.conf").write_text(
        f"CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nCgroupMountpoint={CGROUPS}\nConstrainRAMSpace=yes\n"
    )
    devices = f"NodeName={bed.pattern} Name=gpu Type={bed.gpu_type} File={bed.folder}/dev/gpu[0-{bed.gpus - 1}]\n"
    (bed.folder / "gres.conf").write_text("AutoDetect=off\n" + (devices if bed.gpus else ""))
