"""A process that lacks a setting says which, all at once, and how to mend it; it never repeats a secret."""

from __future__ import annotations

import os

import pytest

from kernel.settings import SettingsError, load

COMPLETE = {
    "RECOUP_DATABASE_URL": "postgresql://accounts:hunter2@127.0.0.1:5432/recoup_accounts",
    "RECOUP_READER_URL": "postgresql://reader:hunter2@127.0.0.1:5432/recoup_accounts",
    "RECOUP_KAFKA": "127.0.0.1:9092",
    "RECOUP_TOKEN_SECRET": "t" * 32,
    "RECOUP_INPUT_KEY": "i" * 32,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RECOUP_")]:
        monkeypatch.delenv(name)
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)


def test_a_complete_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOUP_OWNERS", "accounts=127.0.0.1:5001, plans=127.0.0.1:5002")
    settings = load()
    assert settings.owners == {"accounts": "127.0.0.1:5001", "plans": "127.0.0.1:5002"}
    assert settings.clock == "real"
    assert settings.input_key.get_secret_value() == "i" * 32


def test_everything_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in COMPLETE:
        monkeypatch.delenv(name)
    with pytest.raises(SettingsError) as refusal:
        load()
    for name in COMPLETE:
        assert f"{name} is not set" in str(refusal.value)
    assert "recoup up" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("RECOUP_TOKEN_SECRET", "short", "needs at least 32 characters"),
        ("RECOUP_KAFKA", "nowhere", "should match pattern"),
        ("RECOUP_GRPC_PORT", "70000", "less than or equal to 65535"),
        ("RECOUP_OWNERS", "accounts:5001", "is not service=host:port for accounts:5001"),
        ("RECOUP_CLOCK", "fast", "'real' or 'simulated'"),
    ],
)
def test_what_is_wrong_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        load()
    (line,) = [line for line in str(refusal.value).splitlines() if name in line]
    assert problem in line


def test_a_secret_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hunter2" not in repr(load())
    monkeypatch.setenv("RECOUP_TOKEN_SECRET", "hunter2")
    with pytest.raises(SettingsError) as refusal:
        load()
    assert "hunter2" not in str(refusal.value)
