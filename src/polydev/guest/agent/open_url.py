"""The `BROWSER` of a tool's login: hands one URL to the agent. Shipped as a script of its own, and
so small because the tool waits for it. Exit code 0 when the page was taken, else 1."""

import os
import socket
import sys


def main() -> int:
    path = os.environ.get("POLYDEV_URL_SOCKET")
    if path is None or len(sys.argv) != 2:
        sys.stderr.write("open-url: no sign-in is running\n")
        return 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.settimeout(30)
        try:
            agent.connect(path)
            agent.sendall(sys.argv[1].encode("utf-8", "surrogateescape") + b"\n")
            agent.shutdown(socket.SHUT_WR)
            answer = agent.recv(512).decode("utf-8", "replace").strip()
        except OSError:
            answer = "the agent does not answer"
    if answer != "ok":
        sys.stderr.write(f"open-url: {answer}\n")
    return 0 if answer == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
