"""A web page that takes alerts, as a process: prints each request as a line of JSON.

    python alert_page.py ANSWER... [--silent] [--tls CERT KEY]

It answers with the given statuses in turn, the last one for ever; `--silent` never answers.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWERS = [int(word) for word in sys.argv[1:] if word.isdecimal()]


def say(what: dict[str, object]) -> None:
    """Print a line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Page(BaseHTTPRequestHandler):
    """Takes alerts."""

    def do_POST(self) -> None:
        """Take one."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        told = {"at_ns": time.time_ns(), "path": self.path, "headers": dict(self.headers.items())}
        say(told | {"body": json.loads(body)})
        if "--silent" in sys.argv:
            time.sleep(600)
        self.send_response(ANSWERS.pop(0) if len(ANSWERS) > 1 else ANSWERS[0])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
server.daemon_threads = True
if "--tls" in sys.argv:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[sys.argv.index("--tls") + 1 :][:2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
say({"port": server.server_address[1]})
server.serve_forever()
