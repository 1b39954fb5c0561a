"""Identities: what is missing, open to others or out of date is refused; none is made twice."""

from __future__ import annotations

import shutil
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from farm_keys import DAY, FarmKeys, make_farm

from autotune.boards.entrance import is_loopback, require_protection
from autotune.devices.rpc_tracker import Address
from autotune.transport.authority import Issue, make_authority, read_authority
from autotune.transport.identity import Role, Subject, parse_subject, read_identity
from search_spaces.errors import Misuse


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> FarmKeys:
    return make_farm(tmp_path_factory.mktemp("farm"))


def test_keys_are_their_owners_alone(farm: FarmKeys) -> None:
    for path in farm.folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_board_has_no_token_but_its_own_and_the_trackers(farm: FarmKeys) -> None:
    one, other = read_identity(farm.pi4), read_identity(farm.pi5)
    assert one.tokens.own and one.tokens.own != other.tokens.own
    assert not one.tokens.farm
    assert one.tokens.tracker == read_identity(farm.tracker).tokens.own


def test_an_identity_lasts_no_longer_than_its_authority(farm: FarmKeys, tmp_path: Path) -> None:
    authority = read_authority(farm.authority)
    expires = authority.issue(Issue(Subject(Role.CLIENT, "long"), tmp_path / "long", timedelta(days=9999)))
    assert expires == authority.certificate.not_valid_after_utc


def test_no_key_is_overwritten(farm: FarmKeys) -> None:
    with pytest.raises(Misuse) as caught:
        make_authority(farm.authority, DAY)
    assert caught.value.code == "AT766"


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    farm = make_farm(tmp_path)
    (farm.me / "key.pem").chmod(0o640)
    with pytest.raises(Misuse, match="found mode 0640") as caught:
        read_identity(farm.me)
    assert caught.value.code == "AT761"
    (farm.me / "key.pem").unlink()
    with pytest.raises(Misuse, match=r"found no key\.pem"):
        read_identity(farm.me)


@pytest.mark.parametrize("uri", ["autotune:board:", "autotune:king:me", "http://board", "autotune:board", ""])
def test_a_uri_that_names_no_member_is_none(uri: str) -> None:
    assert parse_subject(uri) is None


def test_a_subject_is_read_as_it_was_written() -> None:
    assert parse_subject("autotune:board:pi4") == Subject(Role.BOARD, "pi4")
    assert str(Subject(Role.TRACKER, "one")) == "autotune:tracker:one"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "board.local", "localhost.example"])
def test_beyond_loopback_an_identity_is_asked_for(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(Misuse, match="insist with --insecure") as caught:
        require_protection(Address(host, 9090), None, "--insecure")
    assert caught.value.code == "AT763"
    require_protection(Address(host, 9090), None, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_none_is_asked_for(host: str) -> None:
    require_protection(Address(host, 9090), None, "--insecure")


@pytest.mark.parametrize("expires", ["1e999", "-1", "9" * 400, "NaN", "null", "[" * 100_000])
def test_secrets_of_strangers_are_refused_in_a_sentence(expires: str, farm: FarmKeys, tmp_path: Path) -> None:
    folder = tmp_path / "me"
    shutil.copytree(farm.me, folder)
    path = folder / "identity.json"
    path.write_text(path.read_text().replace(str(read_identity(folder).expires), expires))
    with pytest.raises(Misuse) as caught:
        read_identity(folder)
    assert caught.value.code == "AT760"
