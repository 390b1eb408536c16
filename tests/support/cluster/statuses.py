"""What a kubelet writes into a pod's status: pure functions."""

import signal
from dataclasses import dataclass
from typing import Any

from tests.support.cluster.pods import container_of

Object = dict[str, Any]

KUBELET_KILL_EXIT = 137
"""The exit code of a process that a signal ended is 128 and the signal's number."""


@dataclass(frozen=True)
class Reporter:
    """One pod's status bodies; `now` is a time as Kubernetes writes it."""

    pod: Object
    node: str
    address: str = ""
    started: str = ""

    def waiting(self, reason: str, message: str, now: str) -> Object:
        """Scheduled, but its container cannot start."""
        state = {"waiting": {"reason": reason, "message": message}}
        return self._status("Pending", self._ready(False, now), self._container(state, ready=False))

    def running(self, now: str, *, ready: bool) -> Object:
        """The process runs, and is `ready` or not yet."""
        state = {"running": {"startedAt": self.started}}
        return self._status("Running", self._ready(ready, now), self._container(state, ready=ready))

    def ended(self, status: int, now: str, said: str = "") -> Object:
        """The process has ended with that exit status; negative: by the signal. `said`: its last words."""
        code = 128 - status if status < 0 else status
        terminated = {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": now}
        if code and said:
            terminated["message"] = said
        if status < 0:
            terminated |= {"signal": -status, "message": f"killed by {signal.Signals(-status).name}"}
        if self.started:
            terminated["startedAt"] = self.started
        state = self._container({"terminated": terminated}, ready=False)
        return self._status("Failed" if code else "Succeeded", self._ready(False, now), state)

    def evicted(self, message: str, now: str) -> Object:
        """The node itself has ended the pod, for want of something."""
        status = self.ended(-signal.SIGKILL, now)
        return {**status, "phase": "Failed", "reason": "Evicted", "message": message}

    def _status(self, phase: str, conditions: list[Object], container: Object) -> Object:
        status: Object = {"phase": phase, "conditions": conditions, "containerStatuses": [container]}
        if self.address:
            status |= {"podIP": self.address, "podIPs": [{"ip": self.address}], "hostIP": "127.0.0.1"}
        if self.started:
            status["startTime"] = self.started
        return status

    def _ready(self, ready: bool, now: str) -> list[Object]:
        said = {"status": "True" if ready else "False", "lastTransitionTime": now}
        return [
            {"type": "Initialized", "status": "True", "lastTransitionTime": self.started or now},
            {"type": "Ready", **said},
            {"type": "ContainersReady", **said},
        ]

    def _container(self, state: Object, *, ready: bool) -> Object:
        container = container_of(self.pod)
        name, image = container["name"], container.get("image", "")
        return {"name": name, "image": image, "imageID": "", "ready": ready, "restartCount": 0, "state": state}


def unschedulable(message: str, now: str) -> Object:
    """No node can take the pod."""
    words = {"reason": "Unschedulable", "message": message, "lastTransitionTime": now}
    return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", **words}]}
