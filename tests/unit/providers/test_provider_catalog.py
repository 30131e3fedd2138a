"""Built-in providers and the operator's own."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from polydev.errors import InvalidInput, SettingsError
from polydev.providers.catalog import BUILT_IN, Catalog
from polydev.providers.jsonschema import provider_schema
from polydev.settings import Settings, load_settings

ROOT = Path(__file__).parents[3]
ACME = ROOT / "tests" / "standins" / "acme" / "acme.toml"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(state_dir=tmp_path)


@pytest.fixture
def own(settings: Settings) -> Path:
    settings.user_providers_dir.mkdir()
    return settings.user_providers_dir


def test_the_three_are_built_in(settings: Settings):
    assert Catalog.load(settings).names() == ("claude_code", "codex", "gemini_cli")


def test_a_file_name_is_its_providers_name():
    for file in BUILT_IN.glob("*.toml"):
        assert tomllib.loads(file.read_text())["name"] == file.stem


def test_a_fourth_tool_is_added_by_a_file_alone(settings: Settings, own: Path):
    (own / "acme.toml").write_text(ACME.read_text())
    catalog = Catalog.load(settings)
    assert catalog.get("acme").title == "Acme"
    assert not catalog.entry("acme").built_in


def test_an_unknown_name_lists_the_known_ones(settings: Settings):
    with pytest.raises(InvalidInput, match="claude_code, codex, gemini_cli") as caught:
        Catalog.load(settings).get("nope")
    assert caught.value.field == "provider"


def test_a_built_in_name_is_taken_only_when_the_file_says_so(settings: Settings, own: Path):
    text = (BUILT_IN / "codex.toml").read_text().replace('"Codex"', '"My Codex"')
    (own / "codex.toml").write_text(text)
    with pytest.raises(SettingsError, match="replaces = true"):
        Catalog.load(settings)
    (own / "codex.toml").write_text(text.replace("format = 1", "format = 1\nreplaces = true"))
    assert Catalog.load(settings).get("codex").title == "My Codex"


def test_two_files_of_one_name_are_refused(settings: Settings, own: Path):
    for name in ("a.toml", "b.toml"):
        (own / name).write_text(ACME.read_text())
    with pytest.raises(SettingsError, match="already defined in"):
        Catalog.load(settings)


def test_two_providers_cannot_install_the_same_command(settings: Settings, own: Path):
    (own / "acme.toml").write_text(
        ACME.read_text().replace('command = "acme-login"', 'command = "codex"')
    )
    with pytest.raises(SettingsError, match="already codex's"):
        Catalog.load(settings)


def test_a_wrong_file_ends_the_start_with_file_and_line(settings: Settings, own: Path):
    (own / "acme.toml").write_text(ACME.read_text().replace("vendor", "vender"))
    with pytest.raises(SettingsError, match=r"acme\.toml:5:1: vender: .*did you mean 'vendor'"):
        Catalog.load(settings)


def test_the_schema_in_the_docs_is_the_formats_own():
    stored = json.loads((ROOT / "docs" / "provider.schema.json").read_text())
    assert stored == provider_schema(), (
        "run: python -m polydev.providers.jsonschema > docs/provider.schema.json"
    )


def test_every_file_that_is_fine_fits_the_json_schema_too():
    validator = jsonschema.Draft202012Validator(provider_schema())
    for file in (*BUILT_IN.glob("*.toml"), ACME):
        validator.validate(tomllib.loads(file.read_text()))


def test_the_guide_names_every_field_and_its_example_is_fine(tmp_path: Path):
    from polydev.providers.check import parse_provider

    guide = (ROOT / "docs" / "writing-a-provider.md").read_text()
    example = guide.split("```toml\n", 1)[1].split("```", 1)[0]
    parse_provider(example, "example")
    schema = provider_schema()
    tables = [schema, *schema["$defs"].values()]
    for field in {name for table in tables for name in table.get("properties", {})}:
        assert f"`{field}`" in guide, f"docs/writing-a-provider.md does not name `{field}`"


def test_lock_files_name_no_registry_host():
    for lock in BUILT_IN.glob("tools/*/package-lock.json"):
        packages = json.loads(lock.read_text())["packages"]
        assert len(packages) > 1
        for name, package in packages.items():
            assert "resolved" not in package, f"{lock}: {name}"
            assert not name or package.get("integrity", "").startswith("sha512-")
