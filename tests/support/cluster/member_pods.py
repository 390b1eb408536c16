"""A member's pod, by hand, as the operator's own builder makes it: for tests of the rig alone."""

from typing import Any

Object = dict[str, Any]


def member_pod(name: str, fabric_key: str, *, image: str = "leasegrid:test", **options: str) -> Object:
    """A CPU member of two slots; `options`: further arguments (`notify="http://…"`), each before the others."""
    arguments = {
        "listen": "0.0.0.0:8080",
        "name": "$(POD_NAME)",
        "fabric-key": fabric_key,
        "scratch": "/scratch",
        "slots": "1",
        "memory": "1073741824",
        "tmpfs": "67108864",
        **options,
    }
    container = {
        "name": "member",
        "image": image,
        "command": ["python", "-m", "tasklet_runner", "member"],
        "args": [word for option, value in arguments.items() for word in (f"--{option}", value)],
        "env": [_field("POD_IP", "status.podIP"), _field("POD_NAME", "metadata.name")],
        "ports": [{"name": "member", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "member"}},
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}},
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    scratch = {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}
    return pod(name, container, volumes=[scratch])


def command_pod(name: str, *command: str, image: str = "any", cpu: str = "10m") -> Object:
    """A pod that runs any command."""
    resources = {"requests": {"cpu": cpu}}
    return pod(name, {"name": "main", "image": image, "command": list(command), "resources": resources})


def pod(name: str, container: Object, **spec: object) -> Object:
    """A pod of one container."""
    fixed = {"restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "leasegrid"}},
        "spec": {**fixed, "containers": [container], **spec},
    }


def _field(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
