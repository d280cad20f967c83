"""A lab: machines in network namespaces here, each with its own sshd, home, state and programs.

Needs root, iproute2 and openssh-server. A machine runs this very cachedoctor, behind a script of
its own, so that a test can make it slow, old or silent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

NET = "10.213.0"
BRIDGE = "cdlab"
SSHD = "/usr/sbin/sshd"
REAL = f'exec {sys.executable} -m cachedoctor "$@"\n'


def missing() -> str:
    """Return why there can be no lab here; empty if there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    for program in (SSHD, shutil.which("ip") or "/usr/sbin/ip"):
        if not os.access(program, os.X_OK):
            return f"`{program}` is not installed"
    tried = subprocess.run(
        ["ip", "netns", "add", "cdlab-try"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip()}"
    run("ip", "netns", "del", "cdlab-try")
    return ""


def run(*words: str) -> str:
    """Run a program that must succeed, and return its output."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


class Machine(NamedTuple):
    """One machine of the lab."""

    name: str
    number: int
    folder: Path

    @property
    def address(self) -> str:
        """Return its address."""
        return f"{NET}.{self.number}"

    @property
    def space(self) -> str:
        """Return the name of its network namespace."""
        return f"{BRIDGE}-{self.number}"

    @property
    def home(self) -> Path:
        """Return its user's home."""
        return self.folder / "home"

    @property
    def hub(self) -> Path:
        """Return its hub cache."""
        return self.home / ".cache" / "huggingface" / "hub"

    def program(self, script: str = REAL, name: str = "cachedoctor") -> None:
        """Install a program on it."""
        file = self.folder / "bin" / name
        file.write_text("#!/bin/sh\n" + script)
        file.chmod(0o755)

    def processes(self) -> list[str]:
        """Return the command lines of the processes there, except its sshd."""
        return list(self._running().values())

    def end(self) -> None:
        """Kill the processes there, sessions included; its sshd stays."""
        for number in self._running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, 9)

    def _running(self) -> dict[int, str]:
        found = {}
        for number in map(int, run("ip", "netns", "pids", self.space).split()):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ")
                if line and b"[listener]" not in line:
                    found[number] = line.decode().strip()
        return found

    def files(self) -> set[str]:
        """Return everything in its home and its temporary folder."""
        places = (self.home, self.folder / "tmp")
        return {str(each) for place in places for each in place.rglob("*")}

    def unplug(self) -> None:
        """Cut its connection: what is sent is lost, and nobody is told."""
        run("ip", "link", "set", f"cdl{self.number}", "down")


@dataclasses.dataclass(frozen=True)
class Lab:
    """All machines, and what the caller needs to reach them."""

    folder: Path
    machines: dict[str, Machine]

    def __getitem__(self, name: str) -> Machine:
        """Return a machine."""
        return self.machines[name]

    def inventory(self, *names: str) -> str:
        """Write an inventory of these machines, or of all, and return its path."""
        args = (
            f"-F none -i {self.folder}/key -o IdentitiesOnly=yes "
            f"-o UserKnownHostsFile={self.folder}/known_hosts -o ControlMaster=no"
        )
        lines = [
            f"{name} ansible_host={self.machines[name].address} "
            f"ansible_remote_tmp={self.machines[name].home}/.cachedoctor-fleet"
            for name in names or self.machines
        ]
        lines += ["", "[all:vars]", "ansible_user=root", f'ansible_ssh_args="{args}"']
        path = self.folder / f"lab-{'-'.join(names)[:40]}.ini"
        path.write_text("\n".join(lines) + "\n")
        return str(path)


@contextlib.contextmanager
def made(folder: Path, names: list[str]) -> Iterator[Lab]:
    """Build a lab, and remove it with everything that runs there."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key"))
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host"))
    machines = {
        name: Machine(name, number, folder / name) for number, name in enumerate(names, start=10)
    }
    public = (folder / "host.pub").read_text().rsplit(" ", 1)[0]
    known = (f"{machine.address} {public}\n" for machine in machines.values())
    (folder / "known_hosts").write_text("".join(known))
    Path("/run/sshd").mkdir(exist_ok=True)
    _take_down()
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    try:
        run("ip", "addr", "add", f"{NET}.1/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        for machine in machines.values():
            _start(machine, folder)
        for machine in machines.values():
            _await(machine)
        yield Lab(folder, machines)
    finally:
        _take_down()


def _start(machine: Machine, folder: Path) -> None:
    for name in ("bin", "home", "tmp"):
        (machine.folder / name).mkdir(parents=True)
    machine.program()
    space, wire = machine.space, f"cdl{machine.number}"
    run("ip", "netns", "add", space)
    run("ip", "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", space)
    run("ip", "link", "set", wire, "master", BRIDGE, "up")
    run("ip", "-n", space, "addr", "add", f"{machine.address}/24", "dev", "eth0")
    run("ip", "-n", space, "link", "set", "eth0", "up")
    run("ip", "-n", space, "link", "set", "lo", "up")
    variables = {
        "HOME": machine.home,
        "PATH": f"{machine.folder}/bin:/usr/bin:/bin",
        "TMPDIR": machine.folder / "tmp",
        "XDG_STATE_HOME": machine.home / "state",
        "XDG_CONFIG_HOME": machine.home / "config",
    }
    config = machine.folder / "sshd_config"
    config.write_text(
        f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/key.pub\nPidFile none\nUsePAM no\n"
        "StrictModes no\nPermitRootLogin yes\nPrintMotd no\nSubsystem sftp internal-sftp\n"
        "MaxStartups 100\nSetEnv " + " ".join(f"{k}={v}" for k, v in variables.items()) + "\n"
    )
    run("ip", "netns", "exec", space, SSHD, "-f", str(config), "-E", str(machine.folder / "log"))


def _await(machine: Machine) -> None:
    import socket

    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection((machine.address, 22), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{machine.name}: {(machine.folder / 'log').read_text()}")


def _take_down() -> None:
    """End every machine, even of a lab whose test was killed."""
    for line in run("ip", "netns", "list").splitlines():
        space = line.split()[0] if line else ""
        if space.startswith(f"{BRIDGE}-"):
            for number in run("ip", "netns", "pids", space).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(number), 9)
            run("ip", "netns", "del", space)
    subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True, check=False)


def below(root: int) -> list[int]:
    """Return a process and all its descendants."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            parents[int(name)] = int(
                Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
            )
    found = [root]
    for each in found:
        found += [number for number, parent in parents.items() if parent == each]
    return found


def held(number: int) -> float:
    """Return a process's own memory in MiB, and its share of the rest."""
    with contextlib.suppress(OSError, IndexError):
        return (
            int(Path(f"/proc/{number}/smaps_rollup").read_text().split("\nPss:")[1].split()[0])
            / 1024
        )
    return 0.0
