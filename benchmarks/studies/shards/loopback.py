"""An S3 on the loopback interface, by moto: a process of its own with many small objects in one flat prefix.

`python -m benchmarks.studies.shards.loopback COUNT ...` makes a bucket `films` with COUNT objects below
`COUNT/`, for each, and an empty one `results`, and prints its port. One object in ten is no image.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from xray_infer.errors import extra_for

HOST: Final = "127.0.0.1"
PICTURES: Final = 9  # different ones
SIDE: Final = 96


@contextmanager
def loopback(counts: Sequence[int]) -> Iterator[Mapping[str, str]]:
    """Yield the environment variables that lead to such a server; it ends with the block."""
    command = [sys.executable, "-m", __spec__.name, *map(str, counts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            if not port:
                with extra_for("an S3 on this machine", "dev"):
                    import moto.server  # noqa: F401
                raise RuntimeError("moto's server did not start")
            yield {
                "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        finally:
            server.kill()


def _pictures() -> list[bytes]:
    import cv2
    import numpy as np

    chance = np.random.default_rng(11)
    pictures = []
    for _ in range(PICTURES):
        rough = chance.integers(0, 256, (6, 6)).astype(np.uint8)
        pixels = cv2.resize(rough, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        pictures.append(cv2.imencode(".jpg", pixels)[1].tobytes())
    return [b"", *pictures]


def _serve(counts: Sequence[int]) -> None:
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.create_bucket("films", "us-east-1")
    backend.create_bucket("results", "us-east-1")
    pictures = _pictures()
    for count in counts:
        for number in range(count):
            data = pictures[number % len(pictures)]
            backend.put_object("films", f"{count}/{number:08}.jpg", data)
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    while os.getppid() > 1:
        time.sleep(1)


if __name__ == "__main__":
    _serve([int(count) for count in sys.argv[1:]])
