"""Runs while the image is built: the gateway starts once and answers.

Python then writes down the compiled form of what a start and a request import, which it could not
do later on a read-only filesystem; and an image that does not answer is not made.
"""
# ruff: noqa: INP001 - a script

import json
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection

ASKED = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hello"}]})
REQUESTS = (("POST", "/v1/chat/completions"), ("GET", "/readyz"), ("GET", "/metrics"))
TRIES = 20


def status(method: str, path: str) -> int:
    with closing(HTTPConnection("127.0.0.1", 4000, timeout=30)) as connection:
        connection.request(method, path, ASKED, {"content-type": "application/json"})
        return connection.getresponse().status


def answered(method: str, path: str) -> bool:
    """Tried again after a 503: while all is compiled, the ledger's first answer can be too late."""
    for _ in range(TRIES):
        found = status(method, path)
        if found != 503:
            return found == 200
        time.sleep(1)
    return False


def main() -> int:
    with subprocess.Popen(["tollgate", "demo"], stdout=subprocess.PIPE) as served:  # noqa: S607
        try:
            if not any(b"answers at" in line for line in served.stdout or ()):
                return 1
            for method, path in REQUESTS:
                if not answered(method, path):
                    sys.stderr.write(f"{method} {path}: {status(method, path)}\n")
                    return 1
        finally:
            served.terminate()
    return served.returncode


if __name__ == "__main__":
    sys.exit(main())
