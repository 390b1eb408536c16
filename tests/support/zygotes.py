"""A real zygote and both ends of what connects it to its fabric."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.wire.signed import public_text

PATIENCE_SECONDS = 60


class ZygoteRig:
    """A zygote with both ends of its control socket and life pipe. `module`: the program, or one with a defect.

    `errors`: the file that gets its standard error; this process's own if there is none.
    """

    def __init__(self, root: Path, module: str = "tasklet_runner", errors: BinaryIO | None = None) -> None:
        self.root = root / "run"
        self.root.mkdir()
        self.fabric = Ed25519PrivateKey.generate()
        self.control, theirs = socket.socketpair()
        self.control.settimeout(PATIENCE_SECONDS)
        life, self.life = os.pipe()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", module, "zygote", "--control-fd", str(theirs.fileno())),
                *("--life-fd", str(life), "--runtime-dir", str(self.root)),
            ],
            stderr=errors,
            pass_fds=(theirs.fileno(), life),
            start_new_session=True,
        )
        theirs.close()
        os.close(life)
        self._lines = self.control.makefile("r")

    def spawn(self, name: str, **changes: object) -> None:
        order = {
            "name": name,
            "listen": f"unix://{self.root}/{name}.sock",
            "fabric_key": public_text(self.fabric),
            "scratch": f"{self.root}/{name}",
        }
        self.control.sendall(json.dumps({"spawn": order | changes}).encode() + b"\n")

    def reply(self) -> dict[str, object]:
        return dict(json.loads(self._lines.readline()))

    def end_life(self) -> None:
        if self.life >= 0:
            os.close(self.life)
            self.life = -1

    def close(self) -> None:
        self.end_life()
        try:
            self.process.wait(PATIENCE_SECONDS)
        finally:
            self.process.kill()
            self._lines.close()
            self.control.close()
