"""`./dev services up|down|status`: what a deployment on several machines needs, on this one, with data that last.

PostgreSQL, Redis, RabbitMQ, and an S3 server with Object Lock; every port is picked free, every password made here.
"""

import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import weed
from tests.support.postgres import Cluster, PostgresFailed, PostgresMissing, folder_for_server
from tests.support.rabbitmq import Rabbit, RabbitFailed, RabbitMissing
from tests.support.redis import Redis, RedisFailed, RedisMissing

_MISSING = (PostgresMissing, RedisMissing, RabbitMissing, FileNotFoundError)
_FAILED = (PostgresFailed, RedisFailed, RabbitFailed, RuntimeError)


class LastingWeed:
    """An S3 server with Object Lock whose data last: `tests.support.weed`, started again on the ports that it had."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is made yet."""
        self.folder = folder
        self._said = folder / "said.json"

    @property
    def found(self) -> dict[str, Any]:
        """Endpoint, keys, ports and buckets (with Object Lock, and without), once it was started."""
        return dict(json.loads(self._said.read_text("utf-8")))

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            return b"-s3" in Path(f"/proc/{int(self.found['pid'])}/cmdline").read_bytes()
        return False

    def start(self) -> None:
        """Start it unless it runs. Raises: RuntimeError, FileNotFoundError."""
        if self.is_running:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._said.exists():
            self._said.touch(mode=0o600)
            self._tell(keys=[secrets.token_hex(10), secrets.token_hex(20)], ports=weed.free_ports(9), buckets=[])
        found = self.found
        access, secret = found["keys"]
        started = weed.start_weed(self.folder, keys=(access, secret), ports=found["ports"])
        buckets = found["buckets"] or [started.new_bucket(), started.new_bucket(locked=False)]
        self._tell(pid=started.pid, endpoint=started.endpoint, buckets=buckets)
        credentials = self.folder / "key"
        credentials.touch(mode=0o600)
        credentials.write_text(f"{access}\n{secret}\n", "ascii")

    def _tell(self, **told: object) -> None:
        before = json.loads(self._said.read_text("utf-8") or "{}")
        self._said.write_text(json.dumps(before | told), "utf-8")

    def stop(self) -> None:
        """End it."""
        if self.is_running:
            pid = int(self.found["pid"])
            os.kill(pid, signal.SIGTERM)
            while self.is_running:
                time.sleep(0.05)


class Services:
    """All of them, in one folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is made yet."""
        self.folder = folder
        self.postgres = Cluster(folder_for_server(folder / "pg"), durable=True)
        self.redis = Redis(folder / "redis", durable=True)
        self.rabbit = Rabbit(folder / "rabbitmq")
        self.weed = LastingWeed(folder / "weed")
        self.all = {
            "PostgreSQL": (self.postgres, lambda: f"port {self.postgres.url.rsplit(':', 1)[1].split('/')[0]}"),
            "Redis": (self.redis, lambda: self.redis.url),
            "RabbitMQ": (self.rabbit, lambda: self.rabbit.url),
            "S3 (weed)": (
                self.weed,
                lambda: f"{self.weed.found['endpoint']}, buckets {' and '.join(self.weed.found['buckets'])}",
            ),
        }

    def up(self) -> int:
        """Start what does not run; say where everything is. Fails when something could not be started."""
        self.folder.mkdir(parents=True, exist_ok=True)
        failures = 0
        for name, (service, where) in self.all.items():
            try:
                service.start()
            except _MISSING as error:
                failures += 1
                print(f"{name}: not installed: {error}")
            except _FAILED as error:
                failures += 1
                print(f"{name}: {error}")
            else:
                print(f"{name}: {where()}")
        if self.postgres.is_running:
            environment = self.folder / "env"
            environment.touch(mode=0o600)
            environment.write_text(f"export LIUHEN_TEST_POSTGRES='{self.postgres.url}'\n", "ascii")
        if not failures:
            example = self.folder / "liuhen.toml"
            example.touch(mode=0o600)
            example.write_text(self._example(), "utf-8")
            print(f"\nFor an archive on them put the lines of {example} into its liuhen.toml before `liuhen init`.")
        return 1 if failures else 0

    def down(self) -> int:
        """Stop everything; the data stay."""
        for service, _ in self.all.values():
            service.stop()
        for name in ("env", "liuhen.toml"):
            (self.folder / name).unlink(missing_ok=True)
        print("Everything is stopped; the data stay.")
        return 0

    def status(self) -> int:
        """Say what runs; 3 when something does not."""
        runs = {name: service.is_running for name, (service, _) in self.all.items()}
        for name, (_, where) in self.all.items():
            print(f"{name}: {where() if runs[name] else 'does not run'}")
        return 0 if all(runs.values()) else 3

    def _example(self) -> str:
        return (
            f"database_url = {json.dumps(self.postgres.url)}\n"
            f"broker_url = {json.dumps(self.redis.url)}\n"
            f"broker_password_file = {json.dumps(str(self.redis.password_file))}\n"
            f"# or RabbitMQ:\n"
            f"# broker_url = {json.dumps(self.rabbit.url)}\n"
            f"# broker_password_file = {json.dumps(str(self.rabbit.password_file))}\n"
            f"# S3 with Object Lock: {self.weed.found['endpoint']}; buckets with lock and without:\n"
            f"# {' '.join(self.weed.found['buckets'])}; its keys are in {self.weed.folder / 'key'}\n"
        )


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    services = Services(Path(".dev/services").absolute())
    verbs: dict[str, Callable[[], int]] = {"up": services.up, "down": services.down, "status": services.status}
    if len(arguments) != 1 or arguments[0] not in verbs:
        print("usage: ./dev services up|down|status", file=sys.stderr)
        return 64
    return verbs[arguments[0]]()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
