"""The text messages of a terminal."""

import pytest

from polydev.stream.pty import PtyMessageError, Size, parse_first, parse_resize


def test_sizes_are_read() -> None:
    assert parse_first('{"columns": 80, "rows": 24}') == Size(80, 24)
    assert parse_resize('{"resize": [120, 40]}') == Size(120, 40)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"columns": 0, "rows": 1}',
        '{"columns": true, "rows": 1}',
        '{"columns": 80.5, "rows": 1}',
        '{"columns": 80, "rows": 100000}',
        "[" * 100_000,
    ],
)
def test_other_first_messages_are_refused(text: str) -> None:
    with pytest.raises(PtyMessageError):
        parse_first(text)


@pytest.mark.parametrize(
    "text",
    ["{}", '{"resize": 3}', '{"resize": [1]}', '{"resize": [1, 2, 3]}', '{"resize": ["a", 1]}'],
)
def test_other_resizes_are_refused(text: str) -> None:
    with pytest.raises(PtyMessageError):
        parse_resize(text)
