"""`recoup up | down | reset | doctor` as a person uses them, each a program of its own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.child import Child, recorded
from deploy.local.places import ROOT, Places
from deploy.local.secrets import kept_secrets

RECOUP = str(ROOT / ".venv" / "bin" / "recoup")
END_SECONDS_MAX = 90


def _recoup(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RECOUP, command, "--home", str(home)], capture_output=True, text=True, check=False, timeout=END_SECONDS_MAX
    )


@contextmanager
def _up(home: Path) -> Iterator[tuple[subprocess.Popen[str], list[Child]]]:
    """A platform that has come up, in the foreground of a program of its own; it has ended afterwards."""
    command = [RECOUP, "up", "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            assert running.stdout is not None
            said = []
            for line in running.stdout:
                said.append(line)
                if "Ctrl-C stops everything" in line:
                    break
            children = recorded(Places(home))
            assert {child.name for child in children} == {"postgres", "kafka", "accounts", "audit", "gateway"}, said
            yield running, children
        finally:
            running.terminate()


def _ended(running: subprocess.Popen[str]) -> tuple[int, str]:
    said, _none = running.communicate(timeout=END_SECONDS_MAX)
    return running.returncode, said


def test_the_whole_platform_comes_up_and_ctrl_c_stops_all_of_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with _up(home) as (running, children):
        second = _recoup("up", home)
        assert (second.returncode, "already running" in second.stderr) == (1, True)
        examined = _recoup("doctor", home)
        assert "recoup_accounts has every migration" in examined.stdout
        assert "the roles of accounts own nothing" in examined.stdout
        running.send_signal(signal.SIGINT)
        code, said = _ended(running)
    assert code == 0, said
    assert not any(child.alive() for child in children)
    assert list(Places(home).run.iterdir()) == []
    for name in ("postgres", "kafka", "accounts", "audit"):
        assert f" {name} " in said
    assert _recoup("reset", home).returncode == 0
    assert list(home.iterdir()) == []


def test_down_stops_the_platform_of_this_folder_and_no_other(tmp_path: Path) -> None:
    with _up(tmp_path / "one") as (running, children):
        elsewhere = _recoup("down", tmp_path / "another")
        assert "nothing was running" in elsewhere.stdout
        assert all(child.alive() for child in children)
        assert _recoup("down", tmp_path / "one").returncode == 0
        assert _ended(running)[0] == 0
    assert not any(child.alive() for child in children)


def test_reset_deletes_nothing_of_a_folder_that_is_not_a_platforms(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear reader")
    done = _recoup("reset", tmp_path)
    assert (done.returncode, "not the folder of a platform" in done.stderr) == (1, True)
    assert (tmp_path / "letter").read_text() == "dear reader"


def test_the_doctor_tells_what_is_wrong_with_a_way_to_mend_it_and_exits_1(tmp_path: Path) -> None:
    places = Places(tmp_path)
    kept_secrets(places.secrets)
    places.secrets.chmod(0o644)
    done = _recoup("doctor", tmp_path)
    assert done.returncode == 1
    assert (
        f"wrong {places.secrets} may be read by its owner only\n      → Run `chmod 600 {places.secrets}`."
        in done.stdout
    )


def test_the_merged_logs_end_when_one_program_ends(tmp_path: Path) -> None:
    follower = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from deploy.local.child import start, stop_together\n"
        "from deploy.local.follow import follow\n"
        "from deploy.local.places import Places\n"
        "def run(name, source):\n"
        "    places = Places(Path(sys.argv[1]))\n"
        "    return start(name, [sys.executable, '-uc', source], places=places, environment=os.environ)\n"
        "short = run('short', 'import time; print(1); time.sleep(2)')\n"
        "children = [short, run('long', 'import time; print(2); time.sleep(60)')]\n"
        "follow(children)\n"
        "print([child.name for child in children if not child.alive()])\n"
        "stop_together(children)\n"
    )
    command = [str(ROOT / ".venv" / "bin" / "python"), "-c", follower, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    said = done.stdout
    assert done.returncode == 0, done.stderr
    assert "short  | 1" in said
    assert "long   | 2" in said
    assert said.splitlines()[-1] == "['short']"
