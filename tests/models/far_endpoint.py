"""An OpenAI-compatible endpoint on this machine that answers what, and when, a test says."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PRICE = 500.0
"""A thousand tokens cost half of one."""


def completion(text: object = "a far answer", usage: object = None) -> bytes:
    """An answer as endpoints give it."""
    used = {"total_tokens": 1000} if usage is None else usage
    return json.dumps({"choices": [{"message": {"content": text}}], "usage": used}).encode()


class FarEndpoint:
    """What it was asked, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.raw, self.status = completion(), 200
        self.free = threading.Event()
        """Unset, it takes questions and holds its answers back."""
        self.free.set()
        self.meanwhile: Callable[[], None] = lambda: None
        """Done before it answers."""
        self.drips = False
        """Whether its answer comes byte by byte and has no end."""
        self.is_over = False
        self.url = ""

    def remote(self, **more: Any) -> dict[str, Any]:
        """Rules that let it be asked, for one in a day."""
        far = {"url": self.url, "model": "m", "per_million_tokens": PRICE}
        return {"endpoints": {"far": far}, "allow": True, "daily_budget": 1.0} | more

    def wait_for(self, questions: int) -> None:
        """Wait until it has been asked so often."""
        end_s = time.monotonic() + 20
        while len(self.asked) < questions:
            assert time.monotonic() < end_s, f"asked {len(self.asked)} times, not {questions}"
            time.sleep(0.002)


@contextmanager
def serving() -> Iterator[FarEndpoint]:
    """Serve on a port of this machine."""
    far = FarEndpoint()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            far.asked.append({"path": self.path, "key": self.headers["Authorization"], **body})
            far.free.wait(20)
            far.meanwhile()
            if far.status:  # else it hangs up
                self.send_response(far.status)
                self.end_headers()
                while far.drips and not far.is_over:
                    self.wfile.write(b" ")
                    time.sleep(0.02)
                self.wfile.write(far.raw)

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """Who hung up is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    far.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield far
    finally:
        far.free.set()
        far.is_over = True
        server.shutdown()
        thread.join()
        server.server_close()
