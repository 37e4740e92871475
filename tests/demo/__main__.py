"""From docking station to verified replay, with real footage: sets up, runs, checks, and keeps running.

Everything goes through the command line and HTTP, as an operator, a dock and a supervisor would do it. Exit code 0 only
if every step held.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.support.footage import demo_set, make_pdf

CASE = "昆执法〔2026〕示1号"
SECONDS_TO_START = 30
SECONDS_TO_PLAY = 300
MEANT = {
    "remux": {"playable"},
    "encode": {"playable"},
    "damaged": {"damaged", "playable"},
    "unplayable": {"unplayable"},
}


class Failed(Exception):
    """A step of the demo did not hold."""


class Demo:
    """One run over one folder; a second run uses what is there."""

    def __init__(self, folder: Path, *, port: int) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.dock = folder / "dock"
        self.port = port
        self.service: subprocess.Popen[bytes] | None = None
        self.address = ""
        self.accounts: dict[str, str] = {}
        self.started = time.monotonic()

    def told(self, text: str) -> None:
        print(f"  {time.monotonic() - self.started:6.1f} s  {text}", flush=True)

    def liuhen(self, *arguments: str | Path, codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "archive.cli", *map(str, arguments)], capture_output=True, text=True, check=False
        )
        if done.returncode not in codes:
            raise Failed(
                f"liuhen {' '.join(map(str, arguments[:2]))} ended with {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    def set_up(self) -> None:
        accounts = self.folder / "accounts.json"
        if not accounts.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, mode=0o700)
            made = json.loads(self.liuhen("init", "--home", self.home, "--organisation", "示范执法局", "--json"))
            accounts.write_text(json.dumps(made["passwords"]))
            accounts.chmod(0o600)
            self.told("archive made: keys, certificates, database, three accounts")
        self.accounts = json.loads(accounts.read_text())

    def start(self) -> None:
        # The dock knows the archive by its address, so a second run takes the same one while it is free.
        kept = self.folder / "port"
        if self.port == 0 and kept.exists():
            if is_free(int(kept.read_text())):
                self.port = int(kept.read_text())
            else:
                shutil.rmtree(self.dock, ignore_errors=True)  # it will enrol anew
        log = (self.folder / "service.log").open("ab")
        command = [sys.executable, "-m", "archive.cli", "serve", "--home", str(self.home), "--no-tls"]
        self.service = subprocess.Popen([*command, "--port", str(self.port)], stdout=log, stderr=log)
        address = self.home / "run" / "address"
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            if self.service.poll() is not None:
                raise Failed(f"the service did not start; see {self.folder / 'service.log'}")
            try:
                self.address = address.read_text().strip()
                if httpx.get(f"{self.address}/api/v1/health", timeout=2).status_code == 200:
                    kept.write_text(self.address.rpartition(":")[2])
                    self.told(f"service, worker and sequencer answer on {self.address}")
                    return
            except (OSError, httpx.HTTPError):
                pass
            time.sleep(0.1)
        raise Failed(f"the service did not answer within {SECONDS_TO_START} s")

    def file_case(self) -> None:
        marker = self.folder / "case-filed"
        if marker.exists():
            return
        self.liuhen("case", "open", CASE, "--title", "占道经营案", "--subject", "示范餐饮有限公司", "--home", self.home)
        act = ("--stage", "inspection", "--place", "示范路 12 号", "--start", "2026-03-02 09:30:00")
        self.liuhen("case", "act", CASE, *act, "--end", "2026-03-02 10:10:00", "--home", self.home)
        lines = ["On-site inspection record (sample)", "2026-03-02, 12 Shifan Road", "Two officers were present."]
        record = make_pdf(self.folder / "inspection-record.pdf", lines)
        title = ("--title", "现场检查笔录", "--form", "inspection_record")
        self.liuhen("case", "file", CASE, record, *title, "--home", self.home)
        marker.touch()
        self.told("case opened, act recorded, text record filed and signed")

    def push(self) -> dict[Path, str]:
        footage = self.folder / "footage"
        listing = self.folder / "footage.json"
        if not listing.exists():
            made = demo_set(footage)
            listing.write_text(json.dumps([[str(path), meant] for path, meant in made]))
            self.told(f"{len(made)} recordings made")
        meant = {Path(path): how for path, how in json.loads(listing.read_text())}
        if not (self.dock / "trust.txt").exists():
            code = self.liuhen("dock", "invite", "--name", "示范采集站", "--home", self.home).strip()
            self.liuhen("dock", "enrol", "--server", self.address, "--code", code, "--state", self.dock)
            self.told("dock enrolled: it made its own key and pinned the archive's")
        self.liuhen("dock", "push", footage, "--case", CASE, "--state", self.dock)
        self.told("footage pushed; every receipt was verified by the dock")
        return meant

    def wait_until_it_plays(self, meant: dict[Path, str]) -> list[dict[str, str]]:
        deadline = time.monotonic() + SECONDS_TO_PLAY
        names = {path.name for path in meant}
        while True:
            listed = [
                json.loads(line) for line in self.liuhen("item", "list", "--home", self.home, "--json").splitlines()
            ]
            items = [item for item in listed if item["name"] in names]
            if len(items) == len(names) and all(item["state"] != "pending" for item in items):
                break
            if time.monotonic() > deadline:
                raise Failed(f"not everything was prepared within {SECONDS_TO_PLAY} s")
            time.sleep(0.5)
        for path, how in meant.items():
            item = next(item for item in items if item["name"] == path.name)
            if item["state"] not in MEANT[how]:
                raise Failed(f"{path.name} was meant to end as {how} and is {item['state']} ({item['reason']})")
            self.told(f"{item['state']:10} {path.name}" + (f"  ({item['reason']})" if item["reason"] else ""))
        return items

    def replay(self, items: list[dict[str, str]]) -> None:
        with httpx.Client(base_url=self.address, follow_redirects=True, timeout=30) as browser:
            form = {"username": "supervisor", "password": self.accounts["supervisor"]}
            first = browser.post("/sign-in", data=form).raise_for_status()
            version = re.search(r'name="version" value="([^"]+)"', first.text)
            if version is not None:  # the terms of use come first
                browser.post("/terms/acceptance", data={"version": version[1]}).raise_for_status()
            played = 0
            for item in items:
                if item["state"] == "unplayable":
                    continue
                page = browser.post(
                    f"/items/{item['id']}/play", data={"purpose": "演示：核对录像", "reference": "任务 1"}
                )
                source = re.search(r'src="([^"]*/content/[^"]+)"', page.text)
                if page.status_code != 200 or source is None:
                    raise Failed(f"{item['name']} was not granted: {page.status_code}")
                content = browser.get(source[1], headers={"Range": "bytes=0-"})
                if content.status_code != 206:
                    raise Failed(f"{item['name']} answers {content.status_code} to a range")
                copy = self.folder / "played"
                copy.write_bytes(content.content)
                frames = subprocess.run(
                    ["ffmpeg", "-v", "error", "-i", copy, "-f", "null", "-"], capture_output=True, check=False
                )
                if frames.returncode != 0:
                    raise Failed(f"{item['name']} does not decode: {frames.stderr.decode()[-200:]}")
                copy.unlink()
                played += 1
        self.told(f"{played} recordings replayed under grants, each with its entry in the log")

    def verify(self, meant: dict[Path, str]) -> None:
        trust = self.dock / "trust.txt"
        for path in meant:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            receipt = self.dock / "receipts" / f"{digest}.receipt.json"
            self.liuhen("verify", path, "--receipt", receipt, "--key", trust)
            forged = self.folder / "forged"
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            forged.write_bytes(data)
            self.liuhen("verify", forged, "--receipt", receipt, "--key", trust, codes=(1,))
            forged.unlink()
        self.told(f"{len(meant)} recordings verified offline; with one bit flipped none of them verifies")
        self.liuhen("fsck", "--home", self.home)
        self.told("fsck: stores, log and catalogue agree")

    def stop(self) -> None:
        if self.service is not None and self.service.poll() is None:
            self.service.send_signal(signal.SIGTERM)
            self.service.wait(30)

    def run(self) -> None:
        self.set_up()
        self.start()
        self.file_case()
        meant = self.push()
        items = self.wait_until_it_plays(meant)
        self.replay(items)
        self.verify(meant)


def is_free(port: int) -> bool:
    """Return whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop after the check")
    parser.add_argument("--fresh", action="store_true", help="throw away what an earlier demo made")
    parser.add_argument("--folder", type=Path, default=Path(".dev/demo"), help="where the demo lives")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 picks a free one")
    given = parser.parse_args()
    if given.fresh:
        shutil.rmtree(given.folder, ignore_errors=True)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    demo = Demo(given.folder.absolute(), port=given.port)
    print("Liuhen 留痕: from docking station to verified replay\n")
    try:
        demo.run()
        if given.once:
            print("\nEverything held.")
            return 0
        print(f"\n  Open {demo.address}\n")
        for name, password in demo.accounts.items():
            print(f"    {name:12} {password}")
        print(f"\n  The case is {CASE}. Ctrl-C stops the service; a second ./dev demo goes on with the same archive.")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except Failed as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
