"""What runs in the sandbox cannot get out, whatever it tries: the programs here try."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from archive.kernel.errors import StorageFull
from archive.kernel.findings import Outcome
from ingest.media.errors import MediaKilled, MediaStopped, MediaTimeout, ToolMissing
from ingest.media.probe import probe
from ingest.media.renditions import make_playable
from ingest.media.sandbox import OUT, SOURCE, Hooks, Leeway, Limits, Sandbox, probe_sandbox
from ingest.media.supervise import Ended, Ran
from ingest.media.tools import Toolbox
from tests.integration.media.conftest import type_samples

PERL = Path("/usr/bin/perl")
LIMITS = Limits(wall_s=60, cpu_s=20, memory_bytes=512 * 1024**2, file_bytes=4 * 1024**2)
ROOT = Path(__file__).parents[3]


def perl(script: str, tmp_path: Path, *, limits: Limits = LIMITS, hooks: Hooks | None = None) -> Ran:
    """Run a Perl program as if it were a decoder: the program is the source file."""
    source = tmp_path / "program.pl"
    source.write_text(script, encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    hooks = hooks or Hooks(keep_stdout_bytes=64 * 1024)
    return Sandbox().run(PERL, [SOURCE, str(tmp_path)], limits=limits, source=source, out=out, hooks=hooks)


def said(ran: Ran) -> str:
    return ran.stdout.decode()


def test_the_sandbox_works_here() -> None:
    assert probe_sandbox().outcome is Outcome.VALID
    assert Sandbox().is_enforced


def test_the_program_runs_as_nobody_without_environment(tmp_path: Path) -> None:
    os.environ["LIUHEN_TEST_SECRET"] = "seen"
    try:
        ran = perl('print "$< $> ", join(",", map {"$_=$ENV{$_}"} sort keys %ENV);', tmp_path)
    finally:
        del os.environ["LIUHEN_TEST_SECRET"]
    assert said(ran) == "65534 65534 HOME=/,LC_ALL=C.UTF-8,PATH=/usr/bin:/bin,PWD=/,TZ=UTC"


def test_files_of_the_machine_are_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    wanted = ["/etc/passwd", "/etc/shadow", "/root", "/home", "/work", "/var", "/tmp", "/run", "/proc/1", "/sys"]
    wanted += [str(secret), str(ROOT), "/dev/sda", "/dev/mem", "/dev/shm", str(Path.home())]
    ran = perl(f"for (qw({' '.join(wanted)})) {{ print \"$_\\n\" if -e $_ or open(my $f, '<', $_) }}", tmp_path)
    assert (ran.returncode, said(ran)) == (0, "")


def test_the_root_holds_only_what_is_needed(tmp_path: Path) -> None:
    ran = perl("opendir(my $d, '/'); print join(' ', sort grep {!/^lib|^s?bin$/} readdir $d);", tmp_path)
    assert said(ran) == ". .. dev etc in out usr"


def test_nothing_can_be_written_but_results(tmp_path: Path) -> None:
    places = ["/x", "/usr/x", "/etc/x", "/dev/x", "/in/x", SOURCE, "/tmp/x", f"{OUT}/result"]
    script = f"for (qw({' '.join(places)})) {{ print \"$_\\n\" if open(my $f, '>', $_) }}\n"
    script += f"print \"unlinked\" if unlink '{SOURCE}'; print \"chmod\" if chmod 0777, '{SOURCE}', '/usr';"
    ran = perl(script, tmp_path)
    assert said(ran) == f"{OUT}/result\n"
    assert (tmp_path / "program.pl").read_text(encoding="utf-8") == script
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["result"]


def test_the_archives_own_files_are_out_of_reach(tmp_path: Path) -> None:
    """Keys, database and stored originals of an archive whose original is being read."""
    home = tmp_path / "home"
    for name in ("keys/log.pem", "liuhen.sqlite3", "store/original.mp4", "liuhen.toml"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("secret", encoding="utf-8")
    names = " ".join(str(path) for path in sorted(home.rglob("*")))
    tries = f"for (qw({names})) {{ print \"$_\\n\" if -e $_ or open(my $f, '<', $_) or opendir(my $d, $_) }}"
    climbs = "for my $up (1..9) { my $p = '/out' . '/..' x $up . '%s'; print $p if -e $p }" % (home / "keys")
    ran = perl(tries + climbs, tmp_path)
    assert (ran.returncode, said(ran)) == (0, "")


def test_no_device_can_be_made(tmp_path: Path) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers of the calls are those of x86_64")
    script = f"""
        my ($disk, $zero) = ('{OUT}/disk', '{OUT}/zero');
        print 'device ' if syscall(133, $disk, 060666, 0x0800) == 0;
        print 'zero ' if syscall(133, $zero, 020666, 0x0105) == 0;
    """
    ran = perl(script, tmp_path)
    assert (ran.returncode, said(ran)) == (0, "")
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_block_device() or path.is_char_device()]


def test_other_processes_can_neither_be_seen_nor_ended(tmp_path: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        script = f"""
            print 'proc ' if -e '/proc' or -e '/proc/self' or -e '/proc/{bystander.pid}';
            print 'ended ' if kill('KILL', {bystander.pid}) > 0;
            print 'parent ' if getppid() > 2;
            $SIG{{TERM}} = 'IGNORE'; kill('TERM', -1);
        """
        ran = perl(script, tmp_path)
        assert said(ran) == ""
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_link_in_the_results_leads_nowhere(tmp_path: Path) -> None:
    perl(f"symlink '/etc/shadow', '{OUT}/stolen'; print 'read' if open(my $f, '<', '{OUT}/stolen')", tmp_path)
    assert (tmp_path / "out" / "stolen").is_symlink()


def test_the_network_is_out_of_reach(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = """
            use Socket;
            for my $family (AF_INET, AF_INET6, AF_UNIX) {
                print "socket $family\\n" if socket(my $s, $family, SOCK_STREAM, 0);
            }
            socket(my $s, AF_INET, SOCK_STREAM, 0);
            print "connected" if connect($s, pack_sockaddr_in(PORT, inet_aton("127.0.0.1")));
        """.replace("PORT", str(port))
        ran = perl(script, tmp_path)
        assert (ran.returncode, said(ran)) == (0, "")
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_process_can_be_started(tmp_path: Path) -> None:
    script = """
        my $made = 0;
        for (1..2000) { my $pid = fork(); last unless defined $pid; if ($pid == 0) { sleep 30; exit } $made++ }
        print "forked $made"; print " ran" if system("/usr/bin/true") == 0;
    """
    assert said(perl(script, tmp_path)) == "forked 0"


def test_namespaces_and_tracing_are_closed(tmp_path: Path) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers of the calls are those of x86_64")
    calls = {"unshare": 272, "mount": 165, "ptrace": 101, "setns": 308, "bpf": 321, "keyctl": 250, "io_uring": 425}
    script = "".join(f"print '{name} ' if syscall({number}, 0, 0, 0, 0, 0) >= 0;" for name, number in calls.items())
    ran = perl(script, tmp_path)
    assert (ran.returncode, said(ran)) == (0, "")


def test_memory_is_bounded(tmp_path: Path) -> None:
    ran = perl("my @hog; push @hog, 'x' x (16 * 1024 * 1024) . $_ while 1;", tmp_path)
    assert ran.returncode != 0
    assert "Out of memory" in ran.stderr_tail


def test_processor_time_is_bounded(tmp_path: Path) -> None:
    ran = perl("1 while 1;", tmp_path, limits=replace(LIMITS, cpu_s=1))
    assert ran.ended is Ended.CPU


def test_processor_time_is_bounded_for_a_program_that_catches_the_signal(toolbox: Toolbox) -> None:
    endless = ["-f", "lavfi", "-i", "testsrc2=size=1280x720", "-f", "null", "-"]
    ran = toolbox.sandbox.run(toolbox.ffmpeg.path, endless, limits=replace(LIMITS, cpu_s=1))
    assert ran.ended is Ended.CPU


def test_a_program_that_the_machine_kills_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(MediaKilled) as caught:
        perl("kill 'KILL', $$;", tmp_path)
    assert caught.value.retryable


def test_a_program_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(MediaTimeout) as caught:
        perl("$SIG{TERM} = $SIG{INT} = 'IGNORE'; sleep 600;", tmp_path, limits=replace(LIMITS, wall_s=1))
    assert caught.value.retryable
    assert_gone(tmp_path)


def test_a_program_that_closes_its_output_and_hangs_is_killed(tmp_path: Path) -> None:
    with pytest.raises(MediaTimeout):
        perl("close STDOUT; close STDERR; sleep 600;", tmp_path, limits=replace(LIMITS, wall_s=1))
    assert_gone(tmp_path)


def test_work_is_stopped_on_request(tmp_path: Path) -> None:
    with pytest.raises(MediaStopped):
        perl("sleep 600;", tmp_path, hooks=Hooks(should_stop=lambda: True))
    assert_gone(tmp_path)


def test_a_caller_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    def fail(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="hello"):
        perl('$| = 1; print "hello\\n"; sleep 600;', tmp_path, hooks=Hooks(on_line=fail))
    assert_gone(tmp_path)


def test_one_result_cannot_grow_without_end(tmp_path: Path) -> None:
    ran = perl(f"open(my $f, '>', '{OUT}/x'); print $f 'x' x 65536 while 1;", tmp_path)
    assert ran.returncode != 0
    assert (tmp_path / "out" / "x").stat().st_size <= LIMITS.file_bytes


def test_many_results_cannot_grow_without_end(tmp_path: Path) -> None:
    script = f"""
        for my $n (1..100000) {{
            open(my $f, '>', '{OUT}/'.$n); print $f 'x' x 1048576; close $f; select(undef, undef, undef, 0.02);
        }}
    """
    assert perl(script, tmp_path).ended is Ended.OUTPUT


def test_folders_and_files_without_end(tmp_path: Path) -> None:
    deep = f"my $d = '{OUT}'; for (1..50) {{ $d .= '/d'; mkdir $d; }} my $n = 0;"
    script = deep + "while (1) { open(my $f, '>', $d.'/'.$n++); close $f }"
    assert perl(script, tmp_path).ended is Ended.OUTPUT


def test_a_full_disk_is_told_as_such(toolbox: Toolbox, sample: type_samples, tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=False)
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        found = probe(sample("h264-aac.mp4"), toolbox=toolbox)
        with pytest.raises(StorageFull) as caught:
            make_playable(sample("h264-aac.mp4"), toolbox=toolbox, out=tmp_path, probe=found)
        assert caught.value.retryable
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_output_that_nobody_asked_for_is_thrown_away(tmp_path: Path) -> None:
    ran = perl("print 'x' x 1000000;", tmp_path, hooks=Hooks())
    assert (ran.ended, ran.returncode, ran.stdout) == (Ended.EXIT, 0, b"")


def test_output_is_kept_only_up_to_its_bound(tmp_path: Path) -> None:
    ran = perl("print 'x' x 65536 while 1;", tmp_path, hooks=Hooks(keep_stdout_bytes=1000))
    assert (ran.ended, len(ran.stdout)) == (Ended.OUTPUT, 1000)


def test_complaints_are_counted_and_only_their_tail_is_kept(tmp_path: Path) -> None:
    lines: list[str] = []
    script = "print STDERR \"line $_\\n\" for 1..20000; print STDERR 'y' x 500000;"
    ran = perl(script, tmp_path, hooks=Hooks(on_error_line=lines.append))
    assert ran.stderr_lines == 20_001
    assert lines[19_999] == "line 20000"
    assert len(lines[-1]) <= 8192
    assert len(ran.stderr_tail) <= 32 * 1024


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Sandbox().run(PERL, [SOURCE], limits=LIMITS, source=tmp_path / "none")
    with pytest.raises(ToolMissing):
        Sandbox().run(Path("/usr/bin/nosuch"), [], limits=LIMITS)


# ---- what page programs may do beyond the others -------------------------------------------------------------------


def with_leeway(script: str, tmp_path: Path, leeway: Leeway) -> Ran:
    source = tmp_path / "program.pl"
    source.write_text(script, encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    hooks = Hooks(keep_stdout_bytes=64 * 1024)
    return Sandbox().run(PERL, [SOURCE], limits=LIMITS, source=source, out=out, hooks=hooks, leeway=leeway)


def test_local_sockets_lead_nowhere(tmp_path: Path) -> None:
    """They are sockets of the sandbox's own network, and of its own files."""
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as named:
        abstract.bind(f"\0liuhen-test-{os.getpid()}")
        named.bind(str(tmp_path / "socket"))
        for listener in (abstract, named):
            listener.listen()
            listener.settimeout(0.1)
        script = f"""
            use Socket;
            print 'local ' if socket(my $a, AF_UNIX, SOCK_STREAM, 0);
            print 'internet ' if socket(my $b, AF_INET, SOCK_STREAM, 0) or socket(my $c, AF_INET6, SOCK_STREAM, 0);
            print 'netlink ' if socket(my $d, 16, SOCK_RAW, 0) or socket(my $e, 17, SOCK_RAW, 0);
            print 'abstract ' if connect($a, pack_sockaddr_un("\\0liuhen-test-{os.getpid()}"));
            socket(my $f, AF_UNIX, SOCK_STREAM, 0);
            print 'named ' if connect($f, pack_sockaddr_un('{tmp_path}/socket'));
            print 'forked ' if defined fork();
        """
        ran = with_leeway(script, tmp_path, Leeway(has_local_sockets=True))
        assert (ran.returncode, said(ran)) == (0, "local ")
        for listener in (abstract, named):
            with pytest.raises(TimeoutError):
                listener.accept()


def test_scratch_is_counted_with_the_results(tmp_path: Path) -> None:
    leeway = Leeway(has_scratch=True, sees=("/etc/fonts",), environment={"HOME": "/out"})
    ran = with_leeway("print $ENV{HOME}; open(my $f, '>', '/tmp/x'); print $f 'kept';", tmp_path, leeway)
    assert said(ran) == "/out"
    assert (tmp_path / "out" / "tmp" / "x").read_text() == "kept"
    many = "for my $n (1..100000) { open(my $f, '>', '/tmp/'.$n); print $f 'x' x 1048576; select(undef, undef, undef, 0.02) }"
    assert with_leeway(many, tmp_path, leeway).ended is Ended.OUTPUT


def test_leeway_opens_no_other_file(tmp_path: Path) -> None:
    leeway = Leeway(sees=("/etc/fonts",), has_scratch=True, has_local_sockets=True)
    wanted = "/etc/passwd /etc/shadow /root /home /proc /sys /var /run /etc/ssl"
    ran = with_leeway(
        f"for (qw({wanted})) {{ print if -e $_ }} print 'w' if open(my $f, '>', '/etc/fonts/x');", tmp_path, leeway
    )
    assert said(ran) == ""


def test_exiftool_works_inside(tmp_path: Path) -> None:
    found = shutil.which("exiftool")
    if found is None:
        pytest.skip("exiftool is not installed")
    picture = tmp_path / "x.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    ran = Sandbox().run(Path(found), ["-ver"], limits=LIMITS, hooks=Hooks(keep_stdout_bytes=1000))
    assert float(ran.stdout) > 10


@pytest.mark.parametrize(("mode", "expected"), [("required", "media.sandbox_unavailable"), ("preferred", "copied")])
def test_without_bubblewrap(mode: str, expected: str, tmp_path: Path) -> None:
    """Required: nothing is parsed and the error says so. Preferred: it runs with the limits, and paths are real."""
    script = f"""
import json, sys
from pathlib import Path
from archive.kernel.errors import LiuhenError
from ingest.media.probe import probe
from ingest.media.renditions import make_playable
from ingest.media.sandbox import Hooks, Limits, Sandbox, probe_sandbox
from ingest.media.supervise import Ended
limits = Limits(wall_s=30, cpu_s=1)
sandbox = Sandbox({mode!r})
try:
    ran = sandbox.run(Path("/usr/bin/cp"), ["/in/source", "/out/copy"], limits=limits,
                      source=Path({str(tmp_path / "in")!r}), out=Path({str(tmp_path / "out")!r}))
    busy = sandbox.run(Path("/usr/bin/perl"), ["-e", "1 while 1"], limits=limits)
    told = "copied" if ran.returncode == 0 and busy.ended is Ended.CPU else ran.stderr_tail
except LiuhenError as exc:
    told = exc.code if "bwrap" in exc.message and exc.retryable else str(exc)
print(json.dumps([told, sandbox.is_enforced, probe_sandbox().as_json()]))
"""
    (tmp_path / "in").write_bytes(b"footage")
    (tmp_path / "out").mkdir()
    environment = {"PATH": "/nonexistent", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)
    told, is_enforced, finding = json.loads(ran.stdout or "[]") or [ran.stderr.decode(), None, {}]
    assert (told, is_enforced, finding["code"]) == (expected, False, "media.sandbox_unavailable")
    assert (tmp_path / "out" / "copy").exists() == (mode == "preferred")


def assert_gone(tmp_path: Path) -> None:
    """No process of the whole machine was started for this test any more; the kernel may take a moment."""
    patience = time.monotonic() + 10
    while left := [name for name in _command_lines() if str(tmp_path) in name]:
        assert time.monotonic() < patience, left
        time.sleep(0.02)


def _command_lines() -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found
