"""A RabbitMQ of our own: thrown away after a test run, or lasting for `./dev services`.

Its node, its port mapper (epmd), its cookie and its data are its own; it listens on the loopback, for one account with
a password.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

_USER = "liuhen"
_START_S = 90
_PROGRAMS = Path("/usr/lib/rabbitmq/bin")  # past Debian's wrapper, which insists on the system's own account
_HASH_SALT_BYTES = 4


class RabbitMissing(Exception):
    """RabbitMQ is not on this machine."""


class RabbitFailed(Exception):
    """The server did not do what it was asked for."""


class Rabbit:
    """One node in one folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is made yet."""
        self.folder = folder

    @property
    def ports(self) -> dict[str, int]:
        """Where it listens, also after it was started again: `amqp`, `dist`, `epmd`."""
        names = (self.folder / "ports").read_text("ascii").split()
        return dict(zip(("amqp", "dist", "epmd"), map(int, names), strict=True))

    @property
    def password_file(self) -> Path:
        """The file that holds the account's password."""
        return self.folder / "password"

    @property
    def url(self) -> str:
        """Its address without the password, as `broker_url` wants it."""
        return f"amqp://{_USER}@127.0.0.1:{self.ports['amqp']}//"

    @property
    def is_running(self) -> bool:
        """Whether it speaks AMQP."""
        try:
            with socket.create_connection(("127.0.0.1", self.ports["amqp"]), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                connection.settimeout(5)
                return bool(connection.recv(8))
        except (OSError, ValueError):
            return False

    def start(self) -> str:
        """Start it on free ports, or on those that it had; return its address.

        Raises: RabbitMissing, RabbitFailed.
        """
        if self.is_running:
            return self.url
        if not (_PROGRAMS / "rabbitmq-server").exists():
            raise RabbitMissing("RabbitMQ is not installed (Debian: apt-get install rabbitmq-server)")
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.password_file.exists():
            self._prepare()
        given = (self.folder / "ports").exists()
        for _attempt in range(3):
            if not given:
                (self.folder / "ports").write_text(" ".join(map(str, _free_ports(3))), "ascii")
            self._configure()
            with (self.folder / "out").open("ab") as out:
                subprocess.run(
                    [_PROGRAMS / "rabbitmq-server", "-detached"],
                    env=self._environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder, check=True,
                )  # fmt: skip
            ends = time.monotonic() + _START_S
            while time.monotonic() < ends:
                if self.is_running:
                    return self.url
                time.sleep(0.1)
            self.kill()
            given = False
        raise RabbitFailed(f"RabbitMQ did not start:\n{(self.folder / 'out').read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        """Kill the node with -9."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "pid").read_text("ascii"))
            if str(self.folder).encode() not in Path(f"/proc/{pid}/environ").read_bytes():
                return  # the number is another program's by now
            os.kill(pid, signal.SIGKILL)
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.02)

    def stop(self) -> None:
        """End it and its port mapper."""
        self._control("stop")
        self.kill()
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["epmd", "-kill"], env=self._environment(), capture_output=True, check=False, timeout=10)

    def destroy(self) -> None:
        """Kill it, its port mapper too, and delete the folder."""
        self.kill()
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["epmd", "-kill"], env=self._environment(), capture_output=True, check=False, timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _control(self, *words: str) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            subprocess.run(
                [_PROGRAMS / "rabbitmqctl", *words],
                env=self._environment(),
                capture_output=True,
                check=False,
                timeout=60,
            )

    def _prepare(self) -> None:
        password = secrets.token_hex(16)
        salt = secrets.token_bytes(_HASH_SALT_BYTES)
        hashed = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode("ascii")
        account = {
            "name": _USER,
            "password_hash": hashed,
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": "administrator",
        }
        may = {"user": _USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
        definitions = {"users": [account], "vhosts": [{"name": "/"}], "permissions": [may]}
        (self.folder / "definitions.json").write_text(json.dumps(definitions))
        cookie = self.folder / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(20))
        cookie.chmod(0o400)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(password, "ascii")

    def _configure(self) -> None:
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.ports['amqp']}\n"
            f"load_definitions = {self.folder / 'definitions.json'}\n"
            "distribution.listener.interface = 127.0.0.1\n"
            f"distribution.listener.port_range.min = {self.ports['dist']}\n"
            f"distribution.listener.port_range.max = {self.ports['dist']}\n"
            "disk_free_limit.absolute = 50MB\n"
            "vm_memory_high_watermark.absolute = 512MB\n"
        )
        (self.folder / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        with contextlib.suppress(OSError, ValueError):
            ports = self.ports
            return {
                "PATH": f"{os.defpath}:/usr/sbin:/sbin",
                "LC_ALL": "C.UTF-8",
                "HOME": str(self.folder),
                "RABBITMQ_NODENAME": f"liuhen-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}@localhost",
                "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
                "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
                "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
                "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
                "RABBITMQ_PID_FILE": str(self.folder / "pid"),
                "RABBITMQ_DIST_PORT": str(ports["dist"]),
                # An idle machine is not kept busy by schedulers that look for work.
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
                "ERL_EPMD_PORT": str(ports["epmd"]),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
            }
        return {"PATH": os.defpath}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
