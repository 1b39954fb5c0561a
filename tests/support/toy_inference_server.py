"""A server of the Open Inference Protocol whose capacity is known: so many requests at once, each of a fixed time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def toy_server(service_secs: float, at_once: int = 1, idle_secs: float | None = None) -> Iterator[str]:
    """The URL of a model that takes so long, as many requests at once; idle_secs: closes connections after."""
    slots = threading.Semaphore(at_once)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = idle_secs

        def do_GET(self) -> None:
            inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
            self._answer(200 if self.path == "/v2/models/toy" else 404, {"name": "toy", "inputs": inputs})

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            head = json.loads(body[: int(self.headers["Inference-Header-Content-Length"])])
            [tensor] = head["inputs"]
            fits = tensor["shape"] == [1, 3] and tensor["parameters"]["binary_data_size"] == 12
            with slots:
                time.sleep(service_secs)
            self._answer(200 if fits else 400, {"outputs": []})

        def _answer(self, status: int, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Keeps quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v2/models/toy"
    finally:
        server.shutdown()
        server.server_close()
