"""A cache of its own for each test, a small asset, and a mirror on this machine."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from otbench.assets import catalogue
from otbench.assets.catalogue import Asset
from otbench.assets.files import File

CONTENT = bytes(range(256)) * 400


def file_of(name: str, content: bytes) -> File:
    return File(name, hashlib.sha256(content).hexdigest(), len(content))


@dataclass
class Mirror:
    """What the server on this machine holds, what it was asked, and how it misbehaves."""

    address: str
    held: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    delay: float = 0.0
    drip: float = 0.0


@pytest.fixture
def mirror():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wish = self.headers.get("Range")
            state.asked.append((self.path, wish))
            time.sleep(state.delay)
            whole = state.held.get(self.path.lstrip("/"))
            if whole is None:
                self.send_error(404)
                return
            start = int(wish.removeprefix("bytes=").rstrip("-")) if wish and state.ranges else 0
            if start >= len(whole) and start:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(whole)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = whole[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            # The client goes away in the middle.
            with contextlib.suppress(OSError):
                while state.drip and body:
                    self.wfile.write(body[:1])
                    body = body[1:]
                    time.sleep(state.drip)
                self.wfile.write(body[: state.break_after.pop(0)] if state.break_after else body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Mirror(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("OTBENCH_HOME", str(folder))
    monkeypatch.delenv("OTBENCH_OFFLINE", raising=False)
    monkeypatch.delenv("OTBENCH_DATA_DIR", raising=False)
    return folder


@pytest.fixture
def toy() -> File:
    return file_of("toy.bin", CONTENT)


@pytest.fixture
def packed() -> bytes:
    return gzip.compress(CONTENT, mtime=0)


@pytest.fixture
def content() -> bytes:
    return CONTENT


@pytest.fixture
def register(home, monkeypatch):
    """Return a function that puts an asset with the given sources into the catalogue."""

    def add(files, sources, name="toy") -> Asset:
        asset = catalogue._asset(name, "a toy", files, sources)
        monkeypatch.setitem(catalogue.CATALOGUE, name, asset)
        return asset

    return add
