"""Runs in the guest: does what the host says, one line of JSON at a time; standard library only.

`{"py": "…"}` runs statements, `{"ev": "…"}` evaluates an expression; the answer has `val` or
`err`. What is defined stays. A `drive` process and a guardian are started by `scene.py` beside
this file.
"""

import json
import os
import sys
import traceback

PORT = "/dev/vport0p1"


def serve(port: int) -> None:
    """Answer until the host hangs up."""
    names: dict[str, object] = {}
    rest = b""
    while True:
        *lines, rest = (rest + os.read(port, 65536)).split(b"\n")
        for line in lines:
            answer = json.dumps(obey(json.loads(line), names)).encode() + b"\n"
            os.write(port, answer)


def obey(request: dict[str, str], names: dict[str, object]) -> dict[str, object]:
    """Do one thing."""
    try:
        if "py" in request:
            exec(request["py"], names)
            return {"val": None}
        return {"val": eval(request["ev"], names)}
    except Exception:  # noqa: BLE001  whatever fails here, the host must hear of it
        return {"err": traceback.format_exc()}


if __name__ == "__main__":
    sys.path[:0] = ["/opt", "/opt/guest"]
    serve(os.open(PORT, os.O_RDWR))
