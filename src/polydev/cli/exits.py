"""Exit codes of the command line. `docs/cli.md` lists them and a test holds the two together.

From 64 on they are those of BSD's sysexits, so that they hardly ever meet those of a tool that
`polydev run` and `polydev shell` pass through.
"""

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    BAD_INPUT = 65
    NOT_FOUND = 66
    UNREACHABLE = 69
    FAULT = 70
    TRY_LATER = 75
    NOT_ALLOWED = 77
    SETTINGS = 78
    INTERRUPTED = 130


MEANING: dict[Exit, str] = {
    Exit.OK: "Done.",
    Exit.FAILED: "It ran, and the answer is no: the sign-in failed or was cancelled, the tool is "
    "not signed in, a check failed.",
    Exit.USAGE: "The command line is wrong; `--help` shows how it is meant.",
    Exit.BAD_INPUT: "A name, value or file is wrong, or cannot be had in this state.",
    Exit.NOT_FOUND: "No such thing (or another user's).",
    Exit.UNREACHABLE: "The server does not answer.",
    Exit.FAULT: "The server or this command had a fault of its own.",
    Exit.TRY_LATER: "A limit was met; try again later.",
    Exit.NOT_ALLOWED: "No valid API key, or not allowed.",
    Exit.SETTINGS: "A setting is wrong.",
    Exit.INTERRUPTED: "Interrupted (Ctrl-C).",
}
