"""A Redis of our own: thrown away after a test run, or lasting for `./dev services`. With a password, on the loopback."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

_START_S = 15


class RedisMissing(Exception):
    """The program `redis-server` is not on this machine."""


class RedisFailed(Exception):
    """The server did not start."""


class Redis:
    """One server in one folder; a lasting one keeps what it is told (append-only file)."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        """Name the folder; nothing is made yet."""
        self.folder = folder
        self.durable = durable

    @property
    def port(self) -> int:
        """Where it listens, also after it was started again."""
        return int((self.folder / "port").read_text("ascii"))

    @property
    def password_file(self) -> Path:
        """The file that holds its password."""
        return self.folder / "password"

    @property
    def url(self) -> str:
        """Its address without the password, as `broker_url` wants it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def is_running(self) -> bool:
        """Whether it answers."""
        with contextlib.suppress(OSError, ValueError):
            return self.ask("PING") == b"+PONG"
        return False

    def ask(self, *words: str) -> bytes:
        """Send one command; return the first line of the answer. Raises: OSError."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            for command in (("AUTH", self.password_file.read_text("ascii")), words):
                told = "".join(f"${len(word)}\r\n{word}\r\n" for word in command)
                connection.sendall(f"*{len(command)}\r\n{told}".encode())
                answer = connection.recv(65536)
        return answer.split(b"\r\n")[0]

    def start(self) -> str:
        """Start it on a free port, or on the one that it had; return its address. Raises: RedisMissing, RedisFailed."""
        if self.is_running:
            return self.url
        program = shutil.which("redis-server")
        if program is None:
            raise RedisMissing("redis-server is not installed (Debian: apt-get install redis-server)")
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.password_file.exists():
            self.password_file.touch(mode=0o600)
            self.password_file.write_text(secrets.token_hex(16), "ascii")
        given = (self.folder / "port").exists()
        for _attempt in range(5):
            if not given:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 0))
                    (self.folder / "port").write_text(str(probe.getsockname()[1]), "ascii")
            self._configure()
            subprocess.run([program, self.folder / "redis.conf"], stdin=subprocess.DEVNULL, check=True, cwd=self.folder)
            ends = time.monotonic() + _START_S
            while time.monotonic() < ends:
                if self.is_running:
                    return self.url
                time.sleep(0.05)
            given = False  # another program may have taken the port
        raise RedisFailed(f"Redis did not start:\n{(self.folder / 'log').read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """Kill it with -9: what it had not written is gone."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._signal(signal.SIGTERM)

    def destroy(self) -> None:
        """End it and delete the folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _configure(self) -> None:
        file = self.folder / "redis.conf"
        file.touch(mode=0o600)
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\nrequirepass {self.password_file.read_text('ascii')}\n"
            f'maxmemory-policy noeviction\ndaemonize yes\npidfile {self.folder}/pid\nlogfile {self.folder}/log\nsave ""\nappendonly {"yes" if self.durable else "no"}\n'
        )

    def _signal(self, number: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "pid").read_text("ascii"))
            if b"redis-server" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                return  # the number is another program's by now
            os.kill(pid, number)
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.02)
