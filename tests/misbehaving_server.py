"""An HTTP server on 127.0.0.1 that does wrong what servers do wrong; the address says what.

    with serve({"a.gz": b"content"}) as server:
        server.address("good", "a.gz")      # http://127.0.0.1:PORT/good/a.gz
        server.address("short", "a.gz")     # half of it, and goodbye
        server.asked                        # ["good", "short"], when both were asked for
"""

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CODES = {"403": 403, "404": 404, "500": 500}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, kind, name = self.path.replace("%20", " ").split("/", 2)
        self.server.asked.append(kind)
        content = self.server.files[name]
        if kind in CODES:
            return self.send_error(CODES[kind])
        if kind in ("204", "206", "302"):  # no content, a part of it, no new address
            return self._start(int(kind), Content_Length=0)
        if kind == "silent":
            return self.server.stopped.wait()
        if kind == "slow headers":
            return self._drip(b"HTTP/1.1 200 OK\r\nX-Patience: " + bytes(10**6))
        if kind == "always 100":
            return self._drip(10**6 * b"HTTP/1.1 100 Continue\r\n\r\n", 25)
        if kind in ("redirect", "loop"):
            return self._start(302, Location=f"/{'good' if kind == 'redirect' else 'loop'}/{name}",
                               Content_Length=0)
        if kind == "redirect with a flood":
            self._start(302, Location=f"/good/{name}", Content_Length=10**12)
            with contextlib.suppress(OSError):  # until the client has had enough
                while not self.server.stopped.is_set():
                    self.wfile.write(bytes(10**6))
        if kind == "wrong":
            content = bytes(len(content))
        if kind == "longer":
            content += b"more"
        if kind == "page":
            content = b"<html>Welcome to our hotel! Please log in.</html>"
        half = content[: len(content) // 2]
        if kind == "nonsense":
            self._start(200, Content_Length="much")
            self.wfile.write(content)
        elif kind == "endless":
            self._start(200, Transfer_Encoding="chunked")
            with contextlib.suppress(OSError):  # until the client has had enough
                while not self.server.stopped.is_set():
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        elif kind == "cut chunks":
            self._start(200, Transfer_Encoding="chunked")
            self.wfile.write(b"%x\r\n%s\r\n" % (len(half), half))
        elif kind == "slow":
            self._start(200, Content_Length=len(content))
            self._drip(content)
        else:
            self._start(200, Content_Length=len(content))
            self.wfile.write(half if kind in ("short", "stall") else content)
        if kind == "stall":
            self.server.stopped.wait()
        self.close_connection = True

    def _drip(self, content, size=1):
        """A little every now and then, until the client has had enough."""
        with contextlib.suppress(OSError):
            for start in range(0, len(content), size):
                self.wfile.write(content[start : start + size])
                if self.server.stopped.wait(0.02):
                    return

    def _start(self, code, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.asked, self.stopped = files, [], threading.Event()

    def address(self, kind, name):
        port = _closed_port() if kind == "closed" else self.server_port
        return f"http://127.0.0.1:{port}/{kind}/{name}".replace(" ", "%20")

    def handle_error(self, request, client_address):
        pass  # the client hung up: it was meant to


def _closed_port():
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def serve(files):
    """A server of these files, {name: bytes}, in a thread."""
    with _Server(files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()
