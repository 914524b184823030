"""Secrets are kept in the keyring or sealed with a passphrase, and lost ones refuse the start."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keyring
import pytest
from keyring.errors import KeyringLocked, PasswordDeleteError

from bot.secrets import FILE_NAME, OsKeychain, Passphrase, Place, Vault, memory
from bot.secrets.sealing import WrongPassphrase, seal, unseal
from trading.domain.errors import SettingsInvalid

NAME, OTHER = "UMBRA_EXCHANGE_SECRET", "UMBRA_TELEGRAM_TOKEN"
CANARY = "canary-7f3e9a51"
PHRASE = "correct horse battery"


class MemoryKeychain:
    """A keyring that can be taken away."""

    def __init__(self, *, is_available: bool = True) -> None:
        self.is_available = is_available
        self.kept: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self.kept.get(name)

    def put(self, name: str, text: str) -> None:
        self.kept[name] = text

    def remove(self, name: str) -> None:
        if not self.is_available:
            raise SettingsInvalid("this session has no keyring")
        self.kept.pop(name, None)


def _typed(*texts: str) -> Callable[[str], str]:
    left = iter(texts)
    return lambda _prompt: next(left)


def _vault(
    folder: Path, *typed: str, keychain: MemoryKeychain | None = None, **sources: Any
) -> Vault:
    passphrase = Passphrase(ask=_typed(*typed) if typed else None, **sources)
    return Vault(folder, keychain or MemoryKeychain(is_available=False), passphrase)


# ------------------------------------------------------------ sealing


def test_what_is_sealed_comes_back_by_its_passphrase_only() -> None:
    sealed = seal({NAME: CANARY}, PHRASE, lambda size: bytes(range(size)))
    assert CANARY not in json.dumps(sealed)
    assert unseal(sealed, PHRASE) == {NAME: CANARY}
    with pytest.raises(WrongPassphrase):
        unseal(sealed, PHRASE + "x")


@pytest.mark.parametrize("field", ["names", "salt", "nonce", "box"])
def test_a_changed_seal_does_not_open(field: str) -> None:
    sealed = seal({NAME: CANARY}, PHRASE, lambda size: bytes(range(size)))
    changed = ["x"] if field == "names" else "A" * len(sealed[field])
    with pytest.raises(SettingsInvalid):
        unseal({**sealed, field: changed}, PHRASE)


def test_a_file_does_not_decide_how_much_memory_a_start_takes() -> None:
    sealed = seal({NAME: CANARY}, PHRASE, bytes)
    with pytest.raises(SettingsInvalid, match="argon2id"):
        unseal({**sealed, "memory_kib": 2**31}, PHRASE)


# ------------------------------------------------------------ the sealed file


def test_without_a_keyring_the_sealed_file_keeps_a_secret_for_its_owner_alone(
    tmp_path: Path,
) -> None:
    assert _vault(tmp_path, PHRASE, PHRASE).put(NAME, CANARY) is Place.FILE
    path = tmp_path / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert CANARY not in path.read_text()
    assert _vault(tmp_path).places() == {NAME: Place.FILE}
    assert _vault(tmp_path, PHRASE).load([NAME]) == {NAME: CANARY}


def test_every_secret_of_the_file_has_the_same_passphrase(tmp_path: Path) -> None:
    _vault(tmp_path, PHRASE, PHRASE).put(NAME, CANARY)
    with pytest.raises(WrongPassphrase):
        _vault(tmp_path, "another passphrase").put(OTHER, "1:x")
    _vault(tmp_path, PHRASE).put(OTHER, "1:x")
    assert _vault(tmp_path, PHRASE).load([NAME, OTHER]) == {NAME: CANARY, OTHER: "1:x"}


def test_the_passphrase_is_asked_for_only_when_something_sealed_is_wanted(tmp_path: Path) -> None:
    assert _vault(tmp_path).load([NAME]) == {}
    _vault(tmp_path, PHRASE, PHRASE).put(NAME, CANARY)
    assert _vault(tmp_path).load([OTHER]) == {}
    with pytest.raises(SettingsInvalid, match="no terminal"):
        _vault(tmp_path).load([NAME])


def test_a_secret_is_removed_once(tmp_path: Path) -> None:
    _vault(tmp_path, PHRASE, PHRASE).put(NAME, CANARY)
    assert _vault(tmp_path, PHRASE).remove(NAME)
    assert not _vault(tmp_path).remove(NAME)
    assert _vault(tmp_path).places() == {}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_of_secrets_that_others_reach_is_refused(tmp_path: Path, mode: int) -> None:
    _vault(tmp_path, PHRASE, PHRASE).put(NAME, CANARY)
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(SettingsInvalid, match="chmod 600"):
        _vault(tmp_path, PHRASE).load([NAME])


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", '{"version": 1}', '{"version": 2, "in_keyring": [], "sealed": null}'),
        '{"version": 1, "in_keyring": [7], "sealed": null}',
        '{"version": 1, "in_keyring": [], "sealed": {"box": ""}}',
    ],
)
def test_a_damaged_file_of_secrets_is_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SettingsInvalid, match=FILE_NAME):
        _vault(tmp_path).places()


@pytest.mark.parametrize("text", ["", "two\nlines", "x" * 5000])
def test_a_secret_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsInvalid, match="one line"):
        _vault(tmp_path, PHRASE, PHRASE).put(NAME, text)


# ------------------------------------------------------------ the keyring


def test_a_keyring_keeps_the_secret_and_the_file_only_its_name(tmp_path: Path) -> None:
    keychain = MemoryKeychain()
    vault = _vault(tmp_path, keychain=keychain)
    assert vault.put(NAME, CANARY) is Place.KEYRING
    assert CANARY not in (tmp_path / FILE_NAME).read_text()
    assert vault.places() == {NAME: Place.KEYRING}
    assert vault.load([NAME, OTHER]) == {NAME: CANARY}
    assert vault.remove(NAME)
    assert keychain.kept == {}


def test_a_secret_that_the_keyring_lost_refuses_the_start(tmp_path: Path) -> None:
    keychain = MemoryKeychain()
    vault = _vault(tmp_path, keychain=keychain)
    vault.put(NAME, CANARY)
    keychain.kept.clear()
    with pytest.raises(SettingsInvalid, match=f"umbra secrets set {NAME}"):
        vault.load([NAME])


def test_a_secret_is_in_one_place_only(tmp_path: Path) -> None:
    keychain = MemoryKeychain()
    _vault(tmp_path, PHRASE, PHRASE, keychain=keychain).put(NAME, "first", in_file=True)
    moved = _vault(tmp_path, PHRASE, keychain=keychain)
    assert moved.put(NAME, CANARY) is Place.KEYRING
    assert moved.places() == {NAME: Place.KEYRING}
    back = _vault(tmp_path, PHRASE, PHRASE, keychain=keychain)
    assert back.put(NAME, "third", in_file=True) is Place.FILE
    assert back.places() == {NAME: Place.FILE}
    assert keychain.kept == {}


def test_a_keyring_that_is_gone_does_not_keep_a_secret_from_the_file(tmp_path: Path) -> None:
    keychain = MemoryKeychain()
    _vault(tmp_path, keychain=keychain).put(NAME, "old")
    keychain.is_available = False
    vault = _vault(tmp_path, PHRASE, PHRASE, PHRASE, keychain=keychain)
    assert vault.put(NAME, CANARY) is Place.FILE
    assert vault.load([NAME]) == {NAME: CANARY}


# ------------------------------------------------------------ the system's keyring


class Backend:
    """What the library hands out."""

    def __init__(self, priority: float) -> None:
        self.priority = priority
        self.kept: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def get_password(self, service: str, name: str) -> str | None:
        self._open()
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, text: str) -> None:
        self._open()
        self.kept[service, name] = text

    def delete_password(self, service: str, name: str) -> None:
        self._open()
        if (service, name) not in self.kept:
            raise PasswordDeleteError("not there")
        del self.kept[service, name]

    def _open(self) -> None:
        if self.is_locked:
            raise KeyringLocked(f"dismissed {CANARY}")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    made = Backend(5)
    monkeypatch.setattr(keyring, "get_keyring", lambda: made)
    return made


def test_installations_do_not_share_a_keyrings_entries(backend: Backend) -> None:
    one, two = OsKeychain("umbra /one"), OsKeychain("umbra /two")
    assert one.is_available
    one.put(NAME, CANARY)
    assert (one.get(NAME), two.get(NAME)) == (CANARY, None)
    two.remove(NAME)
    one.remove(NAME)
    assert backend.kept == {}


def test_a_locked_keyring_is_one_sentence_without_the_secret(backend: Backend) -> None:
    backend.is_locked = True
    keychain = OsKeychain("umbra")
    for call in (
        lambda: keychain.get(NAME),
        lambda: keychain.put(NAME, CANARY),
        lambda: keychain.remove(NAME),
    ):
        with pytest.raises(SettingsInvalid, match="unlock it") as refused:
            call()
        assert CANARY not in str(refused.value)


@pytest.mark.parametrize("priority", [-1, 0, 0.5])
def test_a_keyring_that_refuses_forgets_or_writes_plain_text_is_none(
    backend: Backend, priority: float
) -> None:
    backend.priority = priority
    keychain = OsKeychain("umbra")
    assert not keychain.is_available
    with pytest.raises(SettingsInvalid, match="no keyring"):
        keychain.get(NAME)


def test_without_the_library_there_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert not OsKeychain("umbra").is_available


def test_this_machines_own_keyring_is_there_or_not_and_nothing_breaks() -> None:
    assert OsKeychain("umbra test").is_available in {True, False}


# ------------------------------------------------------------ passphrases


def _file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_passphrase_comes_from_a_file_then_a_credential_then_the_terminal(
    tmp_path: Path,
) -> None:
    credential = _file(tmp_path / "umbra-passphrase", "from the service\n")
    file = _file(tmp_path / "file", "from the file\nnot this")
    both = Passphrase(file, credential.parent, _typed("typed"))
    assert both.get() == "from the file"
    assert Passphrase(None, credential.parent, _typed("typed")).get() == "from the service"
    credential.unlink()
    assert Passphrase(None, tmp_path, _typed("typed")).get() == "typed"


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [("", 0o600, "is empty"), ("a passphrase", 0o644, "chmod 600"), ("", 0o640, "chmod 600")],
)
def test_a_file_without_a_private_passphrase_is_refused(
    tmp_path: Path, text: str, mode: int, words: str
) -> None:
    with pytest.raises(SettingsInvalid, match=words):
        Passphrase(_file(tmp_path / "file", text, mode)).get()


def test_a_passphrase_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="FileNotFoundError"):
        Passphrase(tmp_path / "nowhere").get()


def test_a_new_passphrase_is_long_and_typed_twice() -> None:
    with pytest.raises(SettingsInvalid, match="at least 12 characters, had 5"):
        Passphrase(ask=_typed("short")).choose()
    with pytest.raises(SettingsInvalid, match="the same"):
        Passphrase(ask=_typed(PHRASE, PHRASE + "x")).choose()
    assert Passphrase(ask=_typed(PHRASE, PHRASE)).choose() == PHRASE


def test_a_new_passphrase_from_a_file_is_not_asked_for(tmp_path: Path) -> None:
    assert Passphrase(_file(tmp_path / "file", PHRASE)).choose() == PHRASE


# ------------------------------------------------------------ memory


def test_a_process_that_is_aborted_leaves_no_core(tmp_path: Path) -> None:
    code = (
        "import os, resource\n"
        "most = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (most, most))\n"
        "from bot.secrets.memory import forbid_core_dumps\n"
        "forbid_core_dumps()\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE)[0] <= 1\n"
        "os.chdir(os.environ['FOLDER'])\n"
        "os.abort()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "FOLDER": str(tmp_path)}
    )
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert os.WIFSIGNALED(status)
    assert not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []


def test_a_hard_limit_of_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    fake = SimpleNamespace(
        RLIMIT_CORE=4, getrlimit=lambda _: (0, 0), setrlimit=lambda *said: calls.append(said)
    )
    monkeypatch.setattr(memory, "resource", fake)
    memory.forbid_core_dumps()
    assert calls == [(4, (0, 0))]
