"""Users' mistakes: what happened, where, what to do, the exit code; never a traceback, nothing on standard output."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import cli.context
from cli.main import COMMANDS, main
from local.samples import shop

YAML = {
    "good.yaml": "instances:\n  shop: {connector: sqlite, settings: {path: shop.db}}\n",
    "broken.yaml": "instances:\n  a: [",
    "key.yaml": "instance:\n  a: {}\n",
    "instances.yaml": "instances:\n"
    "  typo: {connector: sqlit, settings: {path: x}}\n"
    "  option: {connector: sqlite, settings: {pth: x}}\n"
    "  gone: {connector: sqlite, settings: {path: gone.db}}\n"
    '  secret: {connector: sqlite, settings: {path: "${secret:nowhere}"}}\n',
}

#: arguments, exit code, what the message must hold
CASES = [
    ("runn", 2, ["'runn'", "did you mean 'run'?", "--help"]),
    ("xyz", 2, ["'xyz'", "transform"]),
    ("run --onec", 2, ["--onec", "--once"]),
    ("run --port 99999", 2, ["99999", "./hookline run --help"]),
    ("run --report r.json", 2, ["--report", "--once"]),
    ("status --files many", 2, ["many", "./hookline status --help"]),
    ("transform", 2, ["FILES", "./hookline transform --help"]),
    ("types pish", 2, ["pish", "push"]),
    ("connectors sqlit", 2, ["'sqlit'", "did you mean 'sqlite'?"]),
    ("-c nowhere.yaml run", 2, ["nowhere.yaml", "no such file", "hookline.example.yaml"]),
    ("-c folder check", 2, ["folder"]),
    ("-c broken.yaml extract a", 2, ["broken.yaml line 2", "not YAML"]),
    ("-c binary.yaml extract a", 2, ["binary.yaml", "UTF-8"]),
    ("-c key.yaml extract a", 2, ["key.yaml line 1", "`instance`", "`instances`"]),
    ("-c good.yaml extract shp", 2, ["'shp'", "shop"]),
    ("-c instances.yaml extract typo", 2, ["'sqlit'", "did you mean 'sqlite'?"]),
    ("-c instances.yaml extract option", 2, ["`pth`", "did you mean `path`?"]),
    ("-c instances.yaml extract secret", 2, ["${secret:nowhere}", "HOOKLINE_SECRET_NOWHERE"]),
    ("-c instances.yaml extract gone", 1, ["instance gone", "gone.db"]),
    ("-c good.yaml extract shop -o occupied/below", 2, ["occupied"]),
    ("-c good.yaml extract shop -o occupied", 2, ["occupied"]),
    ("extract shop", 2, ["no local stack is running", "./hookline run"]),
    ("transform nowhere.json", 2, ["nowhere.json", "no such file"]),
    ("transform folder", 2, ["folder", "folder/*"]),
    ("transform good.yaml -o nowhere/out.jsonl", 2, ["nowhere/out.jsonl", "No such file or directory"]),
    ("transform good.yaml --rejected nowhere/r.jsonl", 2, ["nowhere/r.jsonl"]),
    ("transform binary.yaml", 1, ["no format recognises the file", "uploads/openlineage/"]),
    ("transform empty.json", 1, ["the file is empty"]),
    ("publish nowhere.json", 2, ["nowhere.json", "no such file"]),
    ("plan nowhere", 2, ["'nowhere' is neither a file nor an instance"]),
    ("plan folder", 2, ["folder"]),
    ("status", 2, ["no local stack is running", "HooklineStorage"]),
    ("rejected", 2, ["no local stack is running"]),
    ("scan shop", 2, ["no local stack is running"]),
    ("types diff", 2, ["no local stack is running"]),
    ("publish empty.json", 2, ["no local stack is running"]),
    ("check", 2, ["no local stack is running"]),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with good and bad files; no local stack, no settings from outside."""
    for name in [name for name in os.environ if name.upper().startswith("HOOKLINE")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(cli.context, "RUN", tmp_path / ".hookline" / "run")
    monkeypatch.chdir(tmp_path)
    for name, text in YAML.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "empty.json").touch()
    (tmp_path / "occupied").touch()
    (tmp_path / "folder").mkdir()
    shop.build(tmp_path / "shop.db")
    return tmp_path


@pytest.mark.parametrize(("line", "code", "words"), CASES, ids=[case[0] for case in CASES])
def test_a_mistake_is_told(line: str, code: int, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (code, ""), told.err
    assert "Traceback" not in told.err
    assert "fix: " in told.err
    for word in words:
        assert word in told.err, told.err


def test_a_folder_without_permission_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may write everywhere")
    closed = folder / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(SystemExit) as ended:
        main(["-c", "good.yaml", "extract", "shop", "-o", str(closed / "below")])
    told = capsys.readouterr()
    assert (ended.value.code, "Permission denied" in told.err) == (2, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    told = capsys.readouterr()
    assert (ended.value.code, told.err) == (0, "")
    assert told.out.startswith(f"Usage: ./hookline {command}")


def test_check_goes_on_after_a_failure_and_names_each_fix(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    text = "purview: {account: contoso}\n" + (folder / "instances.yaml").read_text() + "  shop: {connector: sqlite, "
    (folder / "all.yaml").write_text(text + "settings: {path: shop.db}}\n")
    with pytest.raises(SystemExit) as ended:
        main(["-c", "all.yaml", "check"])
    told = capsys.readouterr()
    assert ended.value.code == 1
    lines = told.out.splitlines()
    failed = [line for line in lines if line.startswith("FAIL")]
    assert {line.split()[2].strip(",:") for line in failed if "instance" in line} == {
        "typo",
        "option",
        "gone",
        "secret",
    }
    assert any(line.startswith("ok   instance shop, connection") for line in lines)
    assert len([line for line in lines if "fix: " in line]) == len(failed)
