"""What is wrong with a setting is said with its place, before it is believed."""

import os
import re
from pathlib import Path

import pytest

from polydev.errors import SettingsError
from polydev.settings import Api, load_settings, make_state_dir
from polydev.settings_page import describe


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return caught.value.person


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("POLYDEV_STATEDIR", "POLYDEV_STATE_DIR"),
        ("POLYDEV_API_PORT", "POLYDEV_API__PORT"),
        ("POLYDEV_API__PROT", "POLYDEV_API__PORT"),
        ("POLYDEV_MACHINES__POOLSIZE", "POLYDEV_MACHINES__POOL_SIZE"),
        ("polydev_log_levl", "POLYDEV_LOG_LEVEL"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_likely_one(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, "1234")
    text = refusal()
    assert f"{name}: there is no such setting; did you mean {meant}?" in text
    assert "1234" not in text


def test_a_variable_like_nothing_known_is_refused_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POLYDEV_ZZZZ", "1")
    assert "POLYDEV_ZZZZ: there is no such setting; docs/settings.md" in refusal()


@pytest.mark.parametrize(
    "name",
    [
        "POLYDEV_SERVER",
        "POLYDEV_API_KEY",
        "POLYDEV_SETUP_PYTHON",
        "POLYDEV_TEST_SCREENSHOTS",
        "_POLYDEV_COMPLETE",
    ],
)
def test_variables_of_the_client_and_of_the_scripts_are_not_ours_to_refuse(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, "x")
    load_settings()


def test_every_variable_of_the_page_is_known(monkeypatch: pytest.MonkeyPatch):
    for name, kind, _, _ in describe():
        monkeypatch.setenv(name, "[]" if "list" in kind else "{}" if kind == "mapping" else "1")
    assert "no such setting" not in refusal()


def test_a_whole_section_may_be_one_json_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POLYDEV_API", '{"port": 4321}')
    assert load_settings().api.port == 4321
    monkeypatch.setenv("POLYDEV_API", "4321")
    assert "POLYDEV_API: must be a JSON mapping" in refusal()


def test_every_wrong_name_is_told_at_once(monkeypatch: pytest.MonkeyPatch, own_folder: Path):
    monkeypatch.setenv("POLYDEV_ZZZZ", "1")
    (own_folder / ".env").write_text("POLYDEV_YYYY=1\nOTHER=1\n")
    text = refusal()
    assert "POLYDEV_ZZZZ: " in text
    assert f"POLYDEV_YYYY in {own_folder / '.env'}: " in text
    assert "OTHER" not in text


def test_a_misspelt_name_in_the_toml_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, own_folder: Path
):
    (own_folder / "p.toml").write_text("[api]\nprot = 1\n")
    monkeypatch.setenv("POLYDEV_CONFIG", str(own_folder / "p.toml"))
    assert "api.prot: there is no such setting" in refusal()


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["foo", "", '{"a": 1}', "[" * 100_000])
def test_a_list_that_is_no_json_names_the_variable_and_shows_one(
    value: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYDEV_EGRESS__ALLOW", value)
    text = refusal()
    assert 'POLYDEV_EGRESS__ALLOW: must be a JSON list of text, such as \'["example.com"' in text


def test_a_mapping_that_is_no_json_names_the_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POLYDEV_EGRESS__TESTING_RESOLVE_OVERRIDE", "a=b")
    assert "POLYDEV_EGRESS__TESTING_RESOLVE_OVERRIDE: must be a JSON mapping" in refusal()


def test_an_extra_ca_that_is_none_names_field_and_file(
    monkeypatch: pytest.MonkeyPatch, own_folder: Path
):
    for content in (b"\xff\xfe", b"no certificate"):
        (own_folder / "ca.pem").write_bytes(content)
        monkeypatch.setenv("POLYDEV_EGRESS__EXTRA_CA", str(own_folder / "ca.pem"))
        assert re.search(r"egress\.extra_ca: \S+/ca\.pem holds no PEM certificate", refusal())
    monkeypatch.setenv("POLYDEV_EGRESS__EXTRA_CA", str(own_folder / "none.pem"))
    assert "egress.extra_ca: cannot read " in refusal()


# --- files --------------------------------------------------------------------------------------


def test_a_named_file_must_be_there(monkeypatch: pytest.MonkeyPatch, own_folder: Path):
    monkeypatch.setenv("POLYDEV_CONFIG", str(own_folder / "none.toml"))
    assert f"POLYDEV_CONFIG: there is no file {own_folder / 'none.toml'}" in refusal()
    monkeypatch.setenv("POLYDEV_CONFIG", str(own_folder))
    assert f"POLYDEV_CONFIG: {own_folder}: is a folder" in refusal()
    os.mkfifo(own_folder / "pipe")
    monkeypatch.setenv("POLYDEV_CONFIG", str(own_folder / "pipe"))
    assert "is not a file" in refusal()


def test_the_usual_file_need_not_be_there(monkeypatch: pytest.MonkeyPatch, own_folder: Path):
    monkeypatch.delenv("POLYDEV_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(own_folder))
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    load_settings()
    (own_folder / "polydev").mkdir()
    (own_folder / "polydev" / "polydev.toml").write_text("[api]\nport = 4321\n")
    assert load_settings().api.port == 4321


def test_toml_that_is_none_names_file_and_line(monkeypatch: pytest.MonkeyPatch, own_folder: Path):
    file = own_folder / "p.toml"
    monkeypatch.setenv("POLYDEV_CONFIG", str(file))
    file.write_text("assist = true\n[api\n")
    assert re.search(rf"{re.escape(str(file))}: is not TOML: .*line 2", refusal())
    file.write_bytes(b"a = 1\n\xff")
    assert f"{file}: is not UTF-8 text (line 2)" in refusal()
    file.write_text("a = " + "[" * 50_000)
    assert f"{file}: is not TOML" in refusal()


def test_a_dotenv_that_is_a_folder_or_no_text_is_refused_by_its_name(own_folder: Path):
    (own_folder / ".env").write_bytes(b"A=1\nB=\xff\n")
    assert f"{own_folder / '.env'}: is not UTF-8 text (line 2)" in refusal()
    (own_folder / ".env").unlink()
    (own_folder / ".env").mkdir()
    assert f"{own_folder / '.env'}: is a folder" in refusal()


# --- the state directory ------------------------------------------------------------------------


def test_a_relative_state_directory_is_the_same_from_everywhere(
    monkeypatch: pytest.MonkeyPatch, own_folder: Path
):
    monkeypatch.setenv("POLYDEV_STATE_DIR", "state")
    assert load_settings().state_dir == own_folder / "state"
    monkeypatch.setenv("HOME", str(own_folder))
    monkeypatch.setenv("POLYDEV_STATE_DIR", "~/state")
    assert load_settings().state_dir == own_folder / "state"


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_state_directory_that_is_a_file_is_named(place: str, own_folder: Path):
    (own_folder / "file").write_text("")
    with pytest.raises(SettingsError, match=r"state_dir: .*/file.* POLYDEV_STATE_DIR"):
        make_state_dir(load_settings(state_dir=own_folder / place))


def test_a_state_directory_that_cannot_be_written_to_is_named(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = load_settings(state_dir=own_folder)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(SettingsError, match=r"state_dir: .*may not write to it"):
        make_state_dir(settings)


# --- the address --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4000"),
        ("0.0.0.0", "http://127.0.0.1:4000"),
        ("::", "http://127.0.0.1:4000"),
        ("::1", "http://[::1]:4000"),
        ("polydev.example.test", "http://polydev.example.test:4000"),
    ],
)
def test_the_address_that_people_use_is_one_that_they_can_type(host: str, url: str):
    assert load_settings(api=Api(host=host)).public_url == url
