"""The ZIP that is never written, judged by Info-ZIP and by Python's zipfile."""

import io
import shutil
import subprocess
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archive.packages.zipping import Member, MemberChanged, StoredZip

AT = datetime(2026, 3, 2, 9, 31, 12, tzinfo=UTC)
TOP = "官综执罚〔2026〕第031号-2026-03-02"
FILES = {
    "bagit.txt": b"BagIt-Version: 1.0\n",
    "data/evidence/1/现场 <b>检查</b>😀.mp4": bytes(range(256)) * 20_000,
    "data/empty": b"",
    "data/records/a.pdf": b"%PDF",
}


def written(folder: Path, files: dict[str, bytes]) -> StoredZip:
    members = []
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        members.append(Member(name, len(data), zlib.crc32(data)))
    return StoredZip(folder, members, top=TOP, at=AT)


def copied(made: StoredZip, to: Path) -> Path:
    with made.open(0) as source, to.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    assert to.stat().st_size == made.size_bytes
    return to


def unzip(*arguments: object) -> str:
    program = shutil.which("unzip")
    assert program, "Info-ZIP is one of the judges: apt-get install unzip"
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False, env={"LC_ALL": "C.UTF-8"})  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_both_judges_read_every_file(tmp_path: Path) -> None:
    path = copied(written(tmp_path / "in", FILES), tmp_path / "a.zip")
    assert "No errors detected" in unzip("-t", path)
    with zipfile.ZipFile(path) as judged:
        assert judged.testzip() is None
        assert {each.filename: judged.read(each) for each in judged.infolist()} == {
            f"{TOP}/{name}": data for name, data in FILES.items()
        }
        assert {each.date_time for each in judged.infolist()} == {(2026, 3, 2, 9, 31, 12)}
        assert {each.compress_type for each in judged.infolist()} == {zipfile.ZIP_STORED}
    unzip("-q", path, "-d", tmp_path / "out")
    for name, data in FILES.items():
        assert (tmp_path / "out" / TOP / name).read_bytes() == data


def test_an_empty_folder_is_a_zip_too(tmp_path: Path) -> None:
    path = copied(StoredZip(tmp_path, [], top=TOP, at=AT), tmp_path / "a.zip")
    with zipfile.ZipFile(path) as judged:
        assert judged.namelist() == []


def test_every_range_is_that_part_of_the_whole(tmp_path: Path) -> None:
    made = written(tmp_path, {name: data[:3000] for name, data in FILES.items()})
    with made.open(0) as source:
        whole = source.read()
    assert len(whole) == made.size_bytes
    for offset in range(0, made.size_bytes, 37):
        for length in (1, 50, 4000, None):
            with made.open(offset, length) as source:
                assert source.read() == whole[offset:][:length]
    with made.open(made.size_bytes) as source:
        assert source.read() == b""


def test_beyond_four_gigabytes(tmp_path: Path) -> None:
    members = []
    for number, size_bytes in enumerate((3, (4 << 30) + 1, 7)):
        with (tmp_path / f"{number}.bin").open("wb") as out:
            out.truncate(size_bytes)
        crc = _crc_of_zeros(size_bytes)
        members.append(Member(f"{number}.bin", size_bytes, crc))
    made = StoredZip(tmp_path, members, top="top", at=AT)
    path, zeros = tmp_path / "large.zip", bytes(1 << 20)
    with path.open("wb") as out, made.open(0) as source:
        while block := source.read(1 << 20):
            if block == zeros[: len(block)]:
                out.seek(len(block), io.SEEK_CUR)  # sparse
            else:
                out.write(block)
    assert path.stat().st_size == made.size_bytes > 4 << 30
    with zipfile.ZipFile(path) as judged:
        assert [(each.file_size, each.CRC) for each in judged.infolist()] == [
            (each.size_bytes, each.crc32) for each in members
        ]
        assert judged.read("top/2.bin") == bytes(7)
    assert "No errors detected" in unzip("-t", path)
    with made.open(made.size_bytes - 100, 100) as source, path.open("rb") as judged_file:
        judged_file.seek(-100, io.SEEK_END)
        assert source.read() == judged_file.read()


def _crc_of_zeros(count: int) -> int:
    """Return the CRC-32 of zeros; blocks of 16 MiB, so that it takes a second or two."""
    block, crc = bytes(1 << 24), 0
    while count:
        crc = zlib.crc32(block[:count], crc)
        count -= min(count, len(block))
    return crc


def test_more_files_than_zip_could_count_first(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    crc = zlib.crc32(b"x")
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a").write_bytes(b"x")
    members = [Member(f"{number % 2}/a", 1, crc) for number in range(0x10001)]
    path = copied(StoredZip(tmp_path, members, top="t", at=AT), tmp_path / "many.zip")
    with zipfile.ZipFile(path) as judged:
        assert len(judged.infolist()) == 0x10001


@pytest.mark.parametrize("change", ["grown", "gone", "shrunk", "linked"])
def test_a_file_that_is_not_what_it_was_breaks_off(tmp_path: Path, change: str) -> None:
    made = written(tmp_path, FILES)
    victim = tmp_path / "data/records/a.pdf"
    if change == "gone":
        victim.unlink()
    elif change == "linked":
        victim.unlink()
        victim.symlink_to(tmp_path / "bagit.txt")
    else:
        victim.write_bytes(b"%PDF-" if change == "grown" else b"%")
    with pytest.raises(MemberChanged), made.open(0) as source:
        source.read()


def test_what_is_closed_half_way_holds_no_file(tmp_path: Path) -> None:
    made = written(tmp_path, FILES)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    source = made.open(0)
    while len(source.read(4096)) > 0 and len(list(Path("/proc/self/fd").iterdir())) == opened:
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == opened + 1
    source.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
