"""The pages a person sees: readable through VNC, and tellable apart by pixels (``colours``)."""

from html import escape

from starlette.responses import HTMLResponse

from tests.standins.colours import (
    AUTHORIZE_BUTTON,
    DENY_BUTTON,
    STRIPE_HEIGHT,
    SUBMIT_BUTTON,
    Stage,
    css,
)
from tests.standins.people import Person

_STYLE = f"""
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: #f5f6f8; color: #1c2230;
  font: 17px/1.5 "DejaVu Sans", system-ui, sans-serif; }}
.stripe {{ height: {STRIPE_HEIGHT}px; width: 100%; }}
main {{ width: 620px; max-width: calc(100% - 24px); margin: 20px auto; padding: 24px 36px 28px;
  background: #fff; border: 1px solid #dfe2e8; border-radius: 12px; }}
.brand {{ margin: 0; font-size: 14px; letter-spacing: .04em; color: #5a6274; }}
h1 {{ margin: 4px 0 12px; font-size: 25px; line-height: 1.3; }}
p {{ margin: 8px 0; }}
label {{ display: block; margin-top: 10px; font-weight: 600; }}
input[type=text], input[type=password] {{ width: 100%; height: 46px; margin-top: 4px;
  padding: 0 12px; font-size: 19px; border: 2px solid #9aa3b5; border-radius: 8px; }}
input:focus {{ outline: none; border-color: #1c2230; }}
button {{ height: 60px; border: 0; border-radius: 8px; color: #fff; font-size: 20px;
  font-weight: 600; cursor: pointer; }}
#submit {{ width: 100%; margin-top: 18px; background: {css(SUBMIT_BUTTON)}; }}
.choice {{ display: flex; gap: 20px; margin-top: 22px; }}
.choice button {{ flex: 1; height: 84px; font-size: 23px; }}
#authorize {{ background: {css(AUTHORIZE_BUTTON)}; }}
#deny {{ background: {css(DENY_BUTTON)}; }}
.wrong {{ padding: 8px 12px; border-radius: 8px; background: #fff2dc; font-weight: 600; }}
small {{ color: #5a6274; }}
"""


def login_page(brand: str, flow_id: str, *, wrong: int = 0) -> HTMLResponse:
    """``wrong``: how often the password was wrong so far."""
    note = '<p class="wrong" role="alert">Wrong user name or password. Try again.</p>'
    return _page(
        (Stage.LOGIN, Stage.LOGIN_ERROR, Stage.LOGIN_ERROR_AGAIN)[min(wrong, 2)],
        brand,
        "Sign in",
        f"""{note if wrong else ""}
<form method="post" action="/standin/login" autocomplete="off">
<input type="hidden" name="flow" value="{escape(flow_id)}">
<label for="user">User name</label>
<input id="user" name="user" type="text" autofocus required spellcheck="false">
<label for="password">Password</label>
<input id="password" name="password" type="password" required>
<button id="submit">Continue</button>
</form>""",
    )


def consent_page(brand: str, flow_id: str, person: Person, scope: str) -> HTMLResponse:
    scopes = escape(" · ".join(part.rsplit("/", 1)[-1] for part in scope.split()) or "your account")
    return _page(
        Stage.CONSENT,
        brand,
        "Let the command-line tool use your account?",
        f"""<p>Signed in as <b>{escape(person.user)}</b>.</p>
<p><small>It asks for: {scopes}</small></p>
<form method="post" action="/standin/consent">
<input type="hidden" name="flow" value="{escape(flow_id)}">
<div class="choice">
<button id="deny" name="decision" value="deny">Deny</button>
<button id="authorize" name="decision" value="authorize">Authorize</button>
</div></form>""",
    )


def success_page(brand: str) -> HTMLResponse:
    return _page(
        Stage.SUCCESS,
        brand,
        "You are signed in",
        "<p>You can close this page and go back to the command line.</p>",
    )


def code_page(brand: str, code: str, state: str) -> HTMLResponse:
    """What a person copies into the terminal when the tool cannot be called back."""
    return _page(
        Stage.SUCCESS,
        brand,
        "Paste this code into the command line",
        f'<p><code id="code">{escape(code)}#{escape(state)}</code></p>',
    )


def error_page(brand: str, message: str) -> HTMLResponse:
    return _page(
        Stage.ERROR,
        brand,
        "This sign-in cannot go on",
        f"<p>{escape(message)}.</p>",
        status=400,
    )


def _page(stage: Stage, brand: str, title: str, body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} - {escape(brand)}</title>
<link rel="icon" href="data:,"><style>{_STYLE}</style></head>
<body data-stage="{stage.name.lower()}">
<div class="stripe" style="background: {css(stage.value)}"></div>
<main><p class="brand">{escape(brand)} (a stand-in for tests)</p><h1>{escape(title)}</h1>
{body}</main></body></html>""",
        status_code=status,
        headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"},
    )
