"""Judges what a tool's status command answered."""

from dataclasses import dataclass
from typing import Final

from polydev.domain.text import clean, mask_secrets
from polydev.providers.identity import label, parse_json, resolve
from polydev.providers.pattern import search
from polydev.providers.schema import Provider

_MAX_BYTES: Final = 256 * 1024
_MAX_TEXT: Final = 4000


@dataclass(frozen=True, slots=True)
class StatusVerdict:
    """Whether the tool says that it is signed in, and its words for the receipt."""

    ok: bool
    text: str
    """Its answer without control characters and without anything that looks like a token."""
    account: str | None = None
    plan: str | None = None


def judge(provider: Provider, exit_code: int, stdout: bytes, stderr: bytes) -> StatusVerdict:
    """Hold the answer against ``[status]``. Output is hostile; never raises."""
    status = provider.status
    out = stdout[-_MAX_BYTES:].decode("utf-8", "replace")
    err = stderr[-_MAX_BYTES:].decode("utf-8", "replace")
    plain = clean(f"{out}\n{err}").strip()
    answer = parse_json(stdout[:_MAX_BYTES])
    reads_json = bool(status.true_pointer or status.account_pointer or status.plan_pointer)

    ok = exit_code in status.exit_codes
    if ok and status.pattern is not None:
        ok = search(status.pattern, plain)
    if ok and status.true_pointer is not None:
        ok = resolve(answer, status.true_pointer) is True
    return StatusVerdict(
        ok=ok,
        text=status.text if ok and status.text else _shown(plain, exit_code),
        account=_at(answer, status.account_pointer, 320) if reads_json else None,
        plan=_at(answer, status.plan_pointer, 64) if reads_json else None,
    )


def _at(answer: object, pointer: str | None, max_chars: int) -> str | None:
    return label(resolve(answer, pointer), max_chars) if pointer is not None else None


def _shown(plain: str, exit_code: int) -> str:
    lines = [line.rstrip() for line in mask_secrets(plain).splitlines() if line.strip()]
    text = "\n".join(lines)[-_MAX_TEXT:]
    return text or f"(no output, exit code {exit_code})"
