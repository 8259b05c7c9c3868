"""S3 on the loopback interface, by moto's server, for tests; its credentials are told apart by their text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

KEY_ID, SECRET = "AKIDFORTESTSONLY", "secretFORtestsONLY"


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Yield s3fs's file system of a fresh server, which the environment leads to."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem(use_listings_cache=False)
    for bucket in ("films", "results"):  # moto keeps its state in this process
        if files.exists(bucket):
            files.rm(bucket, recursive=True)
        files.mkdir(bucket)
    yield files
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()
