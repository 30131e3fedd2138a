"""Capture, deliver, watch and remove over the API of a real machine."""

import pytest

from polydev.domain.credential import Bundle, CapturedFile
from polydev.errors import AgentError, CaptureRefused
from polydev.guest.protocol import EventKind, ManifestEntry
from tests.integration.guest.machine import READY_S, Boot, Machine

pytestmark = pytest.mark.slow

AUTH = ManifestEntry(".acme/auth.json", required_keys=("token",))
SHARED = ManifestEntry(".acme.json", only_keys=("account",), required=False)
BUNDLE = Bundle(
    (
        CapturedFile(".acme/auth.json", 0o600, b'{"token": "one"}'),
        CapturedFile(".acme.json", 0o600, b'{"account": "ada"}', merge_json=True),
    )
)


async def test_what_is_delivered_can_be_captured_again(cli: Machine) -> None:
    await cli.sh("""echo '{"machine": 7, "account": "old"}' > ~/.acme.json""")

    written = await cli.client.deliver(BUNDLE)

    assert written == [".acme/auth.json", ".acme.json"]
    assert await cli.client.capture((AUTH, SHARED)) == BUNDLE
    _, listing = await cli.sh(
        "cat ~/.acme.json; stat -c '%a %U' ~/.acme ~/.acme/auth.json; ls -A ~/.acme"
    )
    assert '"machine": 7' in listing
    assert listing.split()[-5:] == ["700", "UNKNOWN", "600", "UNKNOWN", "auth.json"]


@pytest.mark.parametrize(
    ("make", "offender", "why"),
    [
        ("ln -s /etc/fonts/fonts.conf ~/.acme/auth.json", ".acme/auth.json", "symbolic link"),
        ("echo '{}' > ~/x; ln ~/x ~/.acme/auth.json", ".acme/auth.json", "hard link"),
        ("mkfifo ~/.acme/auth.json", ".acme/auth.json", "pipe"),
        ("mkdir ~/.acme/auth.json", ".acme/auth.json", "directory"),
        ("head -c 2000000 /dev/zero > ~/.acme/auth.json", ".acme/auth.json", "larger"),
        (
            "rmdir ~/.acme; mkdir ~/y; echo '{}' > ~/y/auth.json; ln -s y ~/.acme",
            ".acme",
            "symbolic link",
        ),
    ],
)
async def test_a_file_that_is_not_one_is_refused_by_name(
    cli: Machine, make: str, offender: str, why: str
) -> None:
    code, out = await cli.sh(f"mkdir ~/.acme; {make}")
    assert code == 0, out

    with pytest.raises(CaptureRefused, match=why) as refusal:
        await cli.client.capture((AUTH,))

    assert refusal.value.offender == offender


@pytest.mark.parametrize(
    ("make", "offender"),
    [
        ("mkdir -m 0400 ~/.acme", ".acme/auth.json"),
        ("mkdir -m 0 ~/.acme", ".acme"),
        ("mkdir -p ~/.acme/x; chmod 0 ~/.acme", ".acme"),
        ("mkdir ~/.acme; echo '{}' > ~/.acme/auth.json; chmod 0 ~/.acme/*", ".acme/auth.json"),
    ],
)
async def test_what_is_closed_to_us_is_named(cli: Machine, make: str, offender: str) -> None:
    assert (await cli.sh(make))[0] == 0

    with pytest.raises(CaptureRefused, match=r"cannot be .*: Permission denied") as refusal:
        await cli.client.capture((AUTH,))

    assert refusal.value.offender == offender
    await cli.client.watch((AUTH,))


@pytest.mark.parametrize(
    ("mode", "offender"), [("0500", ".acme/auth.json"), ("0400", ".acme/auth.json"), ("0", ".acme")]
)
async def test_what_cannot_be_written_is_named(cli: Machine, mode: str, offender: str) -> None:
    assert (await cli.sh(f"mkdir -m {mode} ~/.acme"))[0] == 0

    with pytest.raises(CaptureRefused, match=r"cannot be .*: Permission denied") as refusal:
        await cli.client.deliver(BUNDLE)

    assert refusal.value.offender == offender
    assert (await cli.sh("ls -A"))[1] == ".acme\n"


async def test_a_full_home_is_said_and_keeps_what_it_has(boot: Boot) -> None:
    machine = await boot("cli", home_bytes=1 << 20)
    await machine.client.wait_ready(READY_S)
    await machine.client.deliver(BUNDLE)
    await machine.sh("head -c 2M /dev/zero > ~/fill")

    large = CapturedFile(".acme.json", 0o600, b"x" * 100_000)
    with pytest.raises(CaptureRefused, match="cannot be written: No space left") as refusal:
        await machine.client.deliver(Bundle((large,)))

    assert refusal.value.offender == ".acme.json"
    assert '"account": "ada"' in (await machine.sh("cat ~/.acme.json"))[1]


async def test_a_file_that_is_missing_or_not_whole_is_said(cli: Machine) -> None:
    with pytest.raises(AgentError, match="is missing"):
        await cli.client.capture((AUTH,))
    await cli.sh("""mkdir ~/.acme; echo '{"token": ' > ~/.acme/auth.json""")
    with pytest.raises(AgentError, match="not whole JSON"):
        await cli.client.capture((AUTH,))
    await cli.sh("""echo '{"token": ""}' > ~/.acme/auth.json""")
    with pytest.raises(AgentError, match="lacks token"):
        await cli.client.capture((AUTH,))


async def test_a_path_out_of_the_home_is_refused(cli: Machine) -> None:
    for path in ("../x", "/etc/passwd", "a/../../x", "a//b", ".", ""):
        with pytest.raises(AgentError, match=r"manifest\[0\].path"):
            await cli.client.capture((ManifestEntry(path),))


async def test_delivery_through_a_linked_directory_is_refused_and_writes_nothing(
    cli: Machine,
) -> None:
    await cli.sh("mkdir ~/y; ln -s y ~/.acme")

    with pytest.raises(CaptureRefused, match="symbolic link"):
        await cli.client.deliver(BUNDLE)

    code, out = await cli.sh("ls -A ~/y; ls ~/.acme.json")
    assert (code, out) == (
        2,
        "ls: cannot access '/home/dev/.acme.json': No such file or directory\n",
    )


async def test_a_refreshed_credential_is_told_and_our_own_delivery_is_not(cli: Machine) -> None:
    await cli.client.watch((AUTH, SHARED))
    await cli.client.deliver(BUNDLE)

    await cli.sh("""echo '{"token": "two"}' > ~/.acme/new; mv ~/.acme/new ~/.acme/auth.json""")

    event = await cli.event(EventKind.CREDENTIAL_CHANGED)
    assert event.data == {"paths": [".acme/auth.json"]}
    bundle = await cli.client.capture((AUTH, SHARED))
    assert bundle.files[0].content == b'{"token": "two"}\n'


async def test_a_change_outside_the_captured_keys_is_not_told(cli: Machine) -> None:
    await cli.client.deliver(BUNDLE)
    await cli.client.watch((AUTH, SHARED))

    await cli.sh("""echo '{"account": "ada", "tips": 3}' > ~/.acme.json""")
    await cli.sh("""sleep 0.5; echo '{"token": "three"}' > ~/.acme/auth.json""")

    event = await cli.event(EventKind.CREDENTIAL_CHANGED)
    assert event.data == {"paths": [".acme/auth.json"]}


async def test_a_watch_outlives_the_agent(cli: Machine) -> None:
    await cli.client.deliver(BUNDLE)
    await cli.client.watch((AUTH, SHARED))

    await cli.kill("/usr/bin/python3 -IS /opt/polydev/agent/bin/agent")
    await cli.client.wait_ready(READY_S)
    await cli.sh("""echo '{"token": "four"}' > ~/.acme/auth.json""")

    await cli.event(EventKind.CREDENTIAL_CHANGED)


async def test_removal_takes_files_and_merged_keys_only(cli: Machine) -> None:
    await cli.sh("""echo '{"machine": 7}' > ~/.acme.json""")
    await cli.client.deliver(BUNDLE)

    removed = await cli.client.remove((AUTH, SHARED, ManifestEntry(".never/there")))

    assert removed == [".acme/auth.json", ".acme.json"]
    _, left = await cli.sh("cd; find . -type f -exec cat {} +")
    assert left == '{\n  "machine": 7\n}\n'


async def test_files_survive_in_the_order_of_a_bundle_or_not_at_all(boot: Boot) -> None:
    machine = await boot("cli")
    await machine.client.wait_ready(READY_S)
    await machine.sh("mkdir -p ~/.acme.json")

    with pytest.raises(CaptureRefused, match="not a regular file"):
        await machine.client.deliver(BUNDLE)

    code, _ = await machine.sh("ls ~/.acme/auth.json")
    assert code == 2
