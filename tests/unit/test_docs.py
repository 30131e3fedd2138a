"""The documents are true: what they name exists, what they show can be typed."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from polydev.api.openapi import page_text
from polydev.api.routes import streams
from polydev.cli.main import app
from polydev.domain.session import REASON_TEXT, SessionState
from polydev.settings_page import describe

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHER_VARIABLES = {"POLYDEV_CONFIG", "POLYDEV_SERVER", "POLYDEV_API_KEY"}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_PATH = re.compile(r"(?<![\w./-])(?:scripts|docs|src|tests|demo|web|requirements)/[\w./*-]*[\w/*]")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_ASSIGNMENT = re.compile(r"[A-Z_]+=")


def each_page(test):
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))(
        test
    )


@each_page
def test_shell_blocks_parse(page: Path):
    for language, block in _FENCE.findall(page.read_text()):
        if language == "sh":
            done = subprocess.run(
                ["bash", "-n"], input=block, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block}\n{done.stderr}"


@each_page
def test_paths_that_are_named_exist(page: Path):
    for path in _PATH.findall(page.read_text()):
        assert any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists(), path


@each_page
def test_links_between_documents_lead_somewhere(page: Path):
    for link in _LINK.findall(_FENCE.sub("", page.read_text())):
        if link.startswith(("https://", "http://")):
            continue
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if heading:
            assert heading in _anchors(target), link


@each_page
def test_commands_that_are_shown_exist(page: Path):
    for command in _commands(page.read_text()):
        _look_up(command)


def test_a_command_that_does_not_exist_is_noticed():
    for command in ("polydev fly", "polydev sessions fly", "polydev up --fly"):
        with pytest.raises(AssertionError, match="fly"):
            _look_up(command)


@each_page
def test_settings_that_are_named_exist(page: Path):
    known = {name for name, *_ in describe()} | OTHER_VARIABLES
    for name in re.findall(r"\bPOLYDEV_[A-Z_]+[A-Z]\b", page.read_text()):
        assert name in known, name


@each_page
def test_no_path_of_a_developers_machine_is_named(page: Path):
    assert not re.search(r"(?<![\w.])/(?:work|root)/", page.read_text())


def test_the_api_page_has_every_route_and_no_other():
    shown = [row for row in _rows("## Routes") if row.startswith(("| GET", "| POST", "| DEL"))]
    assert shown == list(_routes())


def test_the_api_page_has_every_websocket_and_no_other():
    shown = re.findall(r"^\| `(/\S+)`", "\n".join(_rows("## WebSockets")), re.M)
    paths = [getattr(route, "path", "") for route in streams.router.routes]
    assert shown == [path for path in paths if path.startswith("/api/")]


def test_the_api_page_has_every_state_and_reason():
    text = "\n".join(_rows("## States"))
    assert [f"| `{reason.value}` | {said} |" for reason, said in REASON_TEXT.items()] == [
        row for row in _rows("## States") if row.startswith("| `")
    ]
    assert all(f"`{state.value}`" in text for state in SessionState)


def test_decisions_have_numbers_of_their_own():
    numbers = [page.name[:4] for page in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == [f"{i:04}" for i in range(1, len(numbers) + 1)]


def test_pictures_are_small():
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size < 300_000, picture.name


def _commands(text: str) -> Iterator[str]:
    """Every ``polydev …`` in a shell block or in backticks."""
    for language, block in _FENCE.findall(text):
        if language == "sh":
            for line in block.splitlines():
                yield from (
                    part.strip() for part in re.split(r"\||&&|;", line) if "polydev" in part
                )
    for code in _INLINE.findall(_FENCE.sub("", text)):
        if code.startswith("polydev "):
            yield code


def _look_up(command: str) -> None:
    words = shlex.split(command, comments=True)
    while words and (_ASSIGNMENT.match(words[0]) or words[0] == "sudo"):
        words.pop(0)
    if not words or words[0] != "polydev":
        return
    here: Any = typer.main.get_command(app)
    for word in words[1:]:
        bare = word.strip("[]")
        if bare.startswith("-") and bare != "-":
            options = {
                name for param in here.params for name in (*param.opts, *param.secondary_opts)
            }
            assert bare.partition("=")[0] in options, f"{command}: {bare}"
        elif hasattr(here, "commands"):
            assert bare in here.commands, f"{command}: {bare}"
            here = here.commands[bare]


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _rows(heading: str) -> list[str]:
    _, _, after = (ROOT / "docs" / "api.md").read_text().partition(f"\n{heading}\n")
    assert after, heading
    return re.split(r"^## ", after, maxsplit=1, flags=re.M)[0].splitlines()


def _routes() -> Iterator[str]:
    """The OpenAPI page as the table of docs/api.md."""
    for path, operations in json.loads(page_text())["paths"].items():
        for method, operation in operations.items():
            status, answer = next(
                item for item in operation["responses"].items() if item[0].startswith("2")
            )
            shown = ("" if status == "200" else status, _schema(answer))
            cells = (
                method.upper(),
                f"`{path}`",
                _schema(operation.get("requestBody", {})),
                " ".join(part for part in shown if part),
                operation["summary"],
            )
            yield f"| {' | '.join(cells)} |"


def _schema(message: dict) -> str:
    for content in message.get("content", {}).values():
        reference = content.get("schema", {}).get("$ref")
        if reference:
            return f"`{reference.rpartition('/')[2]}`"
    return ""
