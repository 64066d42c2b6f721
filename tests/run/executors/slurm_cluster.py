"""A real SLURM on one machine, for tests: two nodes, each a ``slurmd`` of its own.

It needs root and the Debian packages ``slurmctld slurmd slurm-client munge``, and neither systemd
nor cgroups.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

COMMANDS = ("slurmctld", "slurmd", "slurmstepd", "sbatch", "squeue", "scancel", "munged")
SYSTEM = "/usr/sbin:/sbin"
NODES = ("n1", "n2")
START_SECONDS = 60

CONFIGURATION = """\
ClusterName=t
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/run/ctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/ctld.log
SlurmdLogFile={folder}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmdTimeout=10
MinJobAge=300
KillWait=3
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
{nodes}
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Say why no SLURM can be started here; None where one can."""
    if not sys.platform.startswith("linux"):
        return "SLURM runs on Linux"
    if os.geteuid() != 0:
        return "a SLURM of one's own needs root"
    path = f"{os.environ['PATH']}:{SYSTEM}"
    absent = [name for name in COMMANDS if shutil.which(name, path=path) is None]
    if absent:
        return f"no {', '.join(absent)}: install slurmctld, slurmd, slurm-client and munge"
    return None


@dataclass
class Cluster:
    """A running SLURM; ``environment`` makes its commands talk to it."""

    folder: Path
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        """Start a daemon in the foreground."""
        log = (self.folder / "log" / f"{name}.out").open("ab")
        with log:
            self.processes[name] = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def start_node(self, name: str) -> None:
        """Start a node, or start it again."""
        self.start(name, "slurmd", "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """Take a node away as a power failure does: the daemon, its jobs, and all they started."""
        processes = self.of_node(name)
        # All stop at once: none may tell the controller of the end of another.
        for process in processes:
            process.suspend()
        for process in processes:
            process.kill()
        self.processes[name].wait()

    def of_node(self, name: str) -> list[psutil.Process]:
        """Return the processes of a node."""
        found = []
        for process in psutil.process_iter(["name", "environ"]):
            environment = process.info["environ"] or {}
            mine = environment.get("SLURM_CONF") == self.environment["SLURM_CONF"]
            if mine and (
                environment.get("SLURMD_NODENAME") == name
                or process.pid == self.processes[name].pid
                or name in process.cmdline()
            ):
                found.append(process)
        # The process that watches over a step has no environment to be recognised by.
        watching = {process.parent() for process in found} - {None, psutil.Process()}
        return [*{one for one in watching if one and "slurmstepd" in one.name()}, *found]

    def call(self, *command: str) -> str:
        """Run a command of SLURM; return its output."""
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True
        ).stdout

    def wait_for(self, *nodes: str) -> None:
        """Wait until nodes are ready for jobs."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            done = subprocess.run(
                ["sinfo", "--noheader", "--Node", "--format=%N %T"],
                env=self.environment, capture_output=True, text=True,
            )  # fmt: skip
            ready = dict(line.split() for line in done.stdout.splitlines())
            if all(ready.get(node) in ("idle", "mixed", "allocated") for node in nodes):
                return
            time.sleep(0.5)
        logs = "\n".join(path.read_text()[-2000:] for path in (self.folder / "log").iterdir())
        raise TimeoutError(f"SLURM did not come up: {done.stdout}{done.stderr}\n{logs}")


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start a SLURM with two nodes of one core; end it, and all that it runs, at the end."""
    for name in ("state", "spool-n1", "spool-n2", "run", "log", "munge"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ports = _free_ports(1 + len(NODES))
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={socket.gethostname().split('.')[0]} NodeAddr=127.0.0.1 "
        f"Port={port} CPUs=1 RealMemory=2000 State=UNKNOWN"
        for name, port in zip(NODES, ports[1:], strict=True)
    )
    host = socket.gethostname().split(".")[0]
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(host=host, folder=folder, port=ports[0], nodes=nodes)
    )
    environment = os.environ | {
        "SLURM_CONF": str(configuration), "PATH": f"{os.environ['PATH']}:{SYSTEM}",
    }  # fmt: skip
    made = Cluster(folder, environment)
    try:
        made.start("munged", *_munge(folder))
        made.start("slurmctld", "slurmctld", "-D", "-c")
        for name in NODES:
            made.start_node(name)
        made.wait_for(*NODES)
        yield made
    finally:
        subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True)
        for name in NODES:
            for process in made.of_node(name):
                process.kill()
        for process in made.processes.values():
            process.kill()
            process.wait()


def _munge(folder: Path) -> list[str]:
    """Prepare a private munge and return its command; it insists on folders of its own."""
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    place = folder / "munge"
    place.chmod(0o711)
    user = pwd.getpwuid(os.geteuid())
    os.chown(place, user.pw_uid, user.pw_gid)
    return [
        "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={place}/socket",
        f"--pid-file={place}/pid", f"--seed-file={place}/seed", f"--log-file={place}/log",
    ]  # fmt: skip


def _free_ports(number: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
