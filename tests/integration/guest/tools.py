"""Made-up tools for the agent's tests: their logins behave like the real ones, or misbehave."""

LOGIN = '''#!/usr/bin/python3
"""Asks, opens a page of its own on loopback, waits for the callback, writes its files."""
import http.server, json, os, pathlib, subprocess, sys, threading

assert sys.stdin.isatty() and sys.stdout.isatty()
assert "CI" not in os.environ and "SSH_CONNECTION" not in os.environ and os.environ["DISPLAY"]
assert (pathlib.Path.home() / ".acme" / "settings.json").read_text() == "{}"

if input("\\x1b[1mOpen a browser? [Y/n]:\\x1b[0m ") != "Y":
    sys.exit(2)

done = threading.Event()
PAGES = {
    "/authorize": "<title>Sign in</title><h1>Acme</h1>"
    "<button onclick='location.href=\\"/consent\\"'>Authorize</button>",
    "/consent": "<title>Consent</title><h1>Sure?</h1><input id=name>"
    "<button onclick='location.href=\\"/callback?code=c0de-of-a-test\\"'>Yes</button>",
    "/callback": "<title>Done</title><h1>Signed in</h1>",
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = PAGES.get(self.path.partition("?")[0])
        self.send_response(200 if page else 404)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write((page or "").encode())
        if self.path.startswith("/callback"):
            done.set()

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/authorize?state=s3cret-state-of-a-test"
print("Go to", url)
assert subprocess.run([os.environ["BROWSER"], url]).returncode == 0
done.wait()
folder = pathlib.Path.home() / ".acme" / "deep"
folder.mkdir()
(folder / "auth.json").write_text('{"tokens": ')
(folder / "auth.json").write_text('{"tokens": {"refresh": "t0ken-of-a-test"}}')
(folder / "state.json").write_text(json.dumps({"account": {"name": "ada"}, "machine": 7}))
print("Signed in with t0ken_eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImEifQ.x")
'''

EXITS_EARLY = "#!/bin/sh\necho 'the service is closed today'\nexit 4\n"

DENIED = "#!/bin/sh\necho 'error: access_denied'\nexit 1\n"

OPENS = """#!/bin/sh
for url in "$@"; do "$BROWSER" "$url" || echo "refused $?"; done
echo asked
sleep 600
"""
"""Gives each of its arguments to the browser and stays."""
