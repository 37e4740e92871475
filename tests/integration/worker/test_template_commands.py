"""`liuhen templates`: list, check, add, put in force, file, withdraw."""

from pathlib import Path
from uuid import uuid4

from archive.documents.templates import shipped_texts
from tests.integration.worker.test_cli import inside, liuhen, type_liuhen  # noqa: F401
from tests.support.archive_home import ArchiveHome

CODE = "service_receipt"


def write(folder: Path, version: int, **other: str) -> str:
    text = shipped_texts()[CODE].replace("version = 1", f"version = {version}", 1)
    for before, after in other.items():
        text = text.replace(before, after)
    file = folder / f"v{version}.toml"
    file.write_text(text, "utf-8")
    return str(file)


def test_a_template_from_a_file_to_its_filing(inside: ArchiveHome, liuhen: type_liuhen, tmp_path: Path) -> None:  # noqa: F811
    assert liuhen("templates", "list").out.count("shipped") == 15
    good = write(tmp_path, 2)
    assert liuhen("templates", "check", good).out.startswith("service_receipt version 2: ")
    template_id = liuhen("templates", "add", good).out.strip()
    assert liuhen("templates", "put-in-force", template_id).code == 0
    filing = ["--with", "昆明市司法局", "--number", "备 3"]
    assert liuhen("templates", "file", template_id, *filing).code == 0
    liuhen("templates", "file", template_id, *filing).failed(73, "documents.template_filed")
    (line,) = [line for line in liuhen("templates", "list").out.splitlines() if template_id in line]
    assert line.split()[1:4] == [CODE, "2", "in_force"]
    assert line.endswith("备 3  all agencies")
    assert liuhen("templates", "withdraw", template_id, "--reason", "有误").code == 0
    assert template_id not in liuhen("templates", "list").out
    assert template_id in liuhen("templates", "list", "--all").out
    inside.assert_sound()


def test_what_is_wrong_is_told_by_its_lines(inside: ArchiveHome, liuhen: type_liuhen, tmp_path: Path) -> None:  # noqa: F811
    bad = write(tmp_path, 2, **{'layout = "receipt"': 'layout = "poster"', 'fill = "case.title"': 'fil = "case.title"'})
    for command in ("check", "add"):
        told = liuhen("templates", command, bad)
        assert told.code == 65
        assert told.err.strip().endswith("[documents.template_invalid]")
        lines = [line for line in told.out.splitlines() if line.startswith(bad)]
        assert len(lines) == 2
        assert all(line.removeprefix(f"{bad}:").partition(":")[0].isdigit() for line in lines)
    (tmp_path / "latin.toml").write_bytes("ä".encode("latin-1"))
    liuhen("templates", "check", str(tmp_path / "latin.toml")).failed(64, "input.invalid")
    liuhen("templates", "add", write(tmp_path, 1)).failed(73, "documents.template_version_taken")
    liuhen("templates", "add", write(tmp_path, 3), "--agency", "X").failed(66, "organisation.agency_not_found")
    liuhen("templates", "put-in-force", str(uuid4())).failed(66, "documents.template_not_found")
    assert inside.count("record_template") == 0
