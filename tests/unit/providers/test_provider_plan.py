"""What the agent is given."""

from collections.abc import Callable

import pytest

from polydev.errors import Conflict
from polydev.guest import codec
from polydev.guest.protocol import CA_BUNDLE, ExecRequest, LoginPlan, PtyRequest
from polydev.providers.catalog import BUILT_IN
from polydev.providers.check import read_provider
from polydev.providers.plan import login_plan, run_exec, shell_pty, status_exec
from polydev.providers.schema import Provider

Change = Callable[[str, str], Provider]
BUILT_INS = sorted(BUILT_IN.glob("*.toml"))


@pytest.mark.parametrize("file", BUILT_INS, ids=lambda file: file.stem)
def test_the_agent_accepts_what_a_built_in_file_says(file):
    provider = read_provider(file)
    plan = login_plan(provider, assist=True)
    assert codec.decode(LoginPlan, codec.loads(codec.dumps(codec.encode(plan)))) == plan
    for request in (status_exec(provider), run_exec(provider, "hi")):
        assert codec.decode(ExecRequest, codec.loads(codec.dumps(codec.encode(request)))) == request
    terminal = shell_pty(provider)
    assert codec.decode(PtyRequest, codec.loads(codec.dumps(codec.encode(terminal)))) == terminal


@pytest.mark.parametrize("file", BUILT_INS, ids=lambda file: file.stem)
def test_a_built_in_file_does_no_click_for_the_person(file):
    # The steps of the stand-in's pages belong to the tests' own files.
    assert login_plan(read_provider(file), assist=True).assist == ()


def test_a_bare_program_is_one_of_the_installed_tools(provider: Provider):
    assert status_exec(provider).argv == ("/opt/polydev/tools/bin/made-up", "status")


def test_a_program_with_a_path_stays_as_it_is(changed: Change):
    provider = changed('["made-up", "status"]', '["/usr/bin/test", "-e", "x"]')
    assert status_exec(provider).argv[0] == "/usr/bin/test"


def test_a_prompt_is_one_argument_whatever_it_holds(provider: Provider):
    prompt = "$(reboot); `x` 'y' \"z\" {prompt}\n--help"
    request = run_exec(provider, prompt)
    assert request.argv[1:] == ("ask", prompt)
    assert request.stdin == b""


def test_a_prompt_that_looks_like_an_option_is_not_one(provider: Provider):
    assert run_exec(provider, "--dangerous").argv[-1] == " --dangerous"


def test_without_a_place_the_prompt_is_the_input(changed: Change):
    request = run_exec(changed(', "{prompt}"', ""), "--héllo")
    assert request.argv[1:] == ("ask",)
    assert request.stdin == "--héllo".encode()


def test_a_tool_that_takes_no_prompt_says_what_to_use_instead(changed: Change):
    provider = changed('[run]\ncommand = ["made-up", "ask", "{prompt}"]\n', "")
    with pytest.raises(Conflict, match="polydev shell made_up"):
        run_exec(provider, "hi")


def test_clicks_are_left_out_when_assist_is_off(changed: Change):
    steps = '[[assist]]\nhost = "x.example.test"\nselector = "#ok"\n[status]'
    provider = changed("[status]", steps)
    assert len(login_plan(provider, assist=True).assist) == 1
    assert login_plan(provider, assist=False).assist == ()


def test_certificate_variables_name_the_machines_bundle(changed: Change):
    provider = changed("[install]", 'ca_env = ["MADE_UP_CA"]\n[install]')
    assert login_plan(provider, assist=True).env == {"MADE_UP_CA": CA_BUNDLE}
    assert status_exec(provider).env == {"MADE_UP_CA": CA_BUNDLE}
