from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from polydev.machines.sandbox.console import ConsoleLog, read_end


def test_the_log_keeps_the_newest_and_never_grows_past_its_bound(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "console.log", max_bytes=100)
    for number in range(100):
        log.write(f"line {number:03}\n".encode())
    log.close()
    text = (tmp_path / "console.log").read_bytes()
    assert len(text) <= 100
    assert text.endswith(b"line 098\nline 099\n")


def test_a_second_incarnation_appends(tmp_path: Path) -> None:
    for words in (b"first\n", b"second\n"):
        log = ConsoleLog(tmp_path / "console.log")
        log.write(words)
        log.close()
    assert read_end(tmp_path / "console.log", 100) == b"first\nsecond\n"


def test_only_the_end_is_read_and_no_log_reads_as_empty(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_bytes(b"x" * 50 + b"end")
    assert read_end(tmp_path / "console.log", 3) == b"end"
    assert read_end(tmp_path / "missing.log", 3) == b""


def test_a_log_is_its_owners_alone(tmp_path: Path) -> None:
    ConsoleLog(tmp_path / "console.log").close()
    assert (tmp_path / "console.log").stat().st_mode & 0o777 == 0o600


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_whatever_is_written_the_bound_holds_and_the_last_write_is_there(
    tmp_path_factory: object, writes: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("log")  # type: ignore[attr-defined]
    log = ConsoleLog(folder / "c", max_bytes=128)
    for data in writes:
        log.write(data)
    log.close()
    content = (folder / "c").read_bytes()
    assert len(content) <= 128
    if writes:
        assert content.endswith(writes[-1][-64:])
