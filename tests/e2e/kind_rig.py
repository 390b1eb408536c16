"""A kind cluster and a user of it, who has kubectl, helm and `leasegrid`, and a kubeconfig of their own.

cluster.kubectl("get", "nodes")
room = Room(cluster, "a-namespace")            # see `rooms`
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.support.running import REPOSITORY

Object = dict[str, Any]
Seen = TypeVar("Seen")

PATIENCE_SECONDS = 180.0
"""Several times what anything here takes on a quiet machine."""
PAUSE_SECONDS = 0.2
COMMAND_SECONDS = 600.0
SYSTEM = "leasegrid-system"
"""The namespace that README.md installs the operator in."""


class RefusedCommandError(AssertionError):
    """A command that ended with another status than 0; its text is what it said."""


@dataclass(frozen=True)
class Kind:
    """`name`: the cluster's; `directory`: where its user keeps what they have, the kubeconfig among it."""

    name: str
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of every command: this cluster, its kubeconfig, and this machine's `leasegrid`."""
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "KIND_CLUSTER_NAME": self.name,
            "KUBECONFIG": str(self.directory / "kubeconfig"),
            "XDG_STATE_HOME": str(self.directory / "state"),
            "NO_COLOR": "1",
        }

    def run(self, *words: str, given: str = "") -> str:
        """A command from the repository's root; what it prints. Raises RefusedCommandError with what it says."""
        ended = subprocess.run(
            words,
            input=given,
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if ended.returncode:
            raise RefusedCommandError(f"{' '.join(words)}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
        return ended.stdout

    def shell(self, line: str) -> str:
        """A line as a user types it."""
        return self.run("bash", "-euo", "pipefail", "-c", line)

    def kubectl(self, *words: str, given: str = "") -> str:
        return self.run("kubectl", *words, given=given)

    def leasegrid(self, *words: str, given: str = "") -> str:
        """The command of the environment that the tests run in."""
        return self.run("leasegrid", *words, given=given)

    def refusal(self, *words: str, given: str = "") -> str:
        """What a command says that must fail."""
        try:
            said = self.run(*words, given=given)
        except RefusedCommandError as refused:
            return str(refused)
        raise AssertionError(f"{' '.join(words)} did not fail: {said}")

    def objects(self, kind: str, *words: str) -> list[Object]:
        """Objects of a kind; `words` choose them, as for `kubectl get`."""
        items: list[Object] = json.loads(self.kubectl("get", kind, *words, "--output=json"))["items"]
        return items

    def apply(self, *objects: Object) -> None:
        """Make objects, or change them."""
        self.kubectl("apply", "--filename=-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    @property
    def workers(self) -> list[str]:
        """The names of the nodes that pods may stand on; each is a container of that name."""
        found = self.objects("nodes", "--selector=!node-role.kubernetes.io/control-plane")
        return sorted(one["metadata"]["name"] for one in found)

    @property
    def leader(self) -> str:
        """The operator's pod that decides."""
        lease = ("get", "leases.coordination.k8s.io", "leasegrid-operator", f"--namespace={SYSTEM}")
        return self.kubectl(*lease, "--output=jsonpath={.spec.holderIdentity}")

    def wait(self, look: Callable[[], Seen], holds: Callable[[Seen], object], what: str) -> Seen:
        """See `wait`; a failure says what is there, and what the operator said last."""
        return wait(look, holds, what, self._scene)

    def _scene(self) -> str:
        operator = ("logs", "--selector=app.kubernetes.io/component=operator", f"--namespace={SYSTEM}", "--tail=15")
        asked = [("get", "leasegrid,pods", "--all-namespaces", "--output=wide"), operator]
        return "\n".join(self._said(*words) for words in asked)

    def _said(self, *words: str) -> str:
        try:
            return self.kubectl(*words)
        except RefusedCommandError as refused:
            return str(refused)


def wait(
    look: Callable[[], Seen], holds: Callable[[Seen], object], what: str, said: Callable[[], str] = lambda: ""
) -> Seen:
    """Look again and again until what is seen holds; returns it. A command that fails shows nothing.

    Raises AssertionError with what was seen last, and what `said` gives.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    last: object = None
    while time.monotonic() < deadline:
        try:
            seen = look()
        except (RefusedCommandError, OSError) as away:
            last = away
        else:
            if holds(seen):
                return seen
            last = seen
        time.sleep(PAUSE_SECONDS)
    raise AssertionError(f"in {PATIENCE_SECONDS:.0f} s it did not happen: {what}; what was there: {last!r}\n{said()}")
