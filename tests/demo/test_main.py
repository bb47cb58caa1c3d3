"""What the command says and how it ends when there is nothing to play."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.__main__ import main
from deploy.local.places import Places
from deploy.local.platform import hold_lock


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file or directory"),
        (b"", "the file is empty"),
        (b"name;amount\n", "neither a Metro 2 file nor placement CSV"),
        ("0426HEADER\n".encode("utf-16"), "the file is in UTF-16"),
    ],
)
def test_a_portfolio_that_cannot_be_read_ends_with_2_and_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, complaint: str
) -> None:
    file = tmp_path / "portfolio"
    if content is not None:
        file.write_bytes(content)
    assert main([str(file), "--home", str(tmp_path / "home")]) == 2
    told = capsys.readouterr().err
    assert complaint in told
    assert str(file) in told
    assert told.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_a_count_that_is_none_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--accounts", "0"])
    assert ended.value.code == 2
    assert "must be 1 to" in capsys.readouterr().err


def test_a_platform_that_runs_in_the_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "data" / "kept"
    kept.parent.mkdir()
    kept.touch()
    with hold_lock(Places(tmp_path)):
        assert main(["--home", str(tmp_path), "--accounts", "5"]) == 1
    assert "is running" in capsys.readouterr().err
    assert kept.exists()
