"""The tasklet of a job: what is run, with what bounds."""

from typing import Annotated

from pydantic import Field

from leasegrid.api.common import Bytes, ConfigMapKey, Flag, Model, Name, Reference, Seconds, Text, Whole, bounded_bytes
from leasegrid.api.enums import OutputFiles, PythonMode
from leasegrid.api.names import AbsolutePath, Digest, EnvironmentName
from leasegrid.api.quantities import GIBI, KIBI, MEBI

MODULE_FUEL = 10_000_000_000
PYTHON_FUEL = 100_000_000_000

TaskletMemory = Annotated[Bytes, bounded_bytes(64 * KIBI, 4 * GIBI)]
"""A tasklet addresses at most 4Gi: WebAssembly's memory has 32-bit addresses and pages of 64Ki."""

OutputBytes = Annotated[Bytes, bounded_bytes(1, 1024 * GIBI)]


class OciSource(Model):
    """A module in an OCI registry."""

    reference: Text = Field(description="Image reference, with tag or digest.")
    pull_secret_ref: Reference | None = Field(default=None, description="Secret with which the registry is entered.")


class ModuleSource(Model):
    """A WASI preview-1 command module: one source; sha256 verifies it, or alone names an uploaded object."""

    path: Text | None = Field(default=None, description="File, relative to the YAML.")
    upload: Name | None = Field(default=None, description="Name of an uploaded object.")
    oci: OciSource | None = Field(default=None, description="Module in an OCI registry.")
    url: Text | None = Field(default=None, description="URL of the module.")
    config_map: ConfigMapKey | None = Field(default=None, description="Module in a ConfigMap.")
    sha256: Digest | None = Field(default=None, description="SHA-256 of the module, 64 hexadecimal digits.")


class PythonSource(Model):
    """A Python file: one source."""

    path: Text | None = Field(default=None, description="File, relative to the YAML.")
    inline: Annotated[str, Field(min_length=1, max_length=256 * KIBI)] | None = Field(
        default=None, description="The text itself."
    )
    config_map: ConfigMapKey | None = Field(default=None, description="File in a ConfigMap.")


class PythonTasklet(Model):
    """A Python file that runs on CPython for WASI."""

    source: PythonSource = Field(description="Where the file comes from.")
    wheels: tuple[Text, ...] = Field(default=(), max_length=64, description="Pure-Python wheels that it imports.")
    mode: PythonMode = Field(
        default=PythonMode.FRESH,
        description="Fresh: an interpreter per chunk. Loop: one interpreter, one line of JSON in and out per chunk.",
    )


class EnvironmentVariable(Model):
    """One variable of the tasklet's environment."""

    name: EnvironmentName = Field(description="Name of the variable.")
    value: str = Field(default="", max_length=32 * KIBI, description="Its value; $(NAME) is expanded as in Kubernetes.")


class MountSource(Model):
    """Where the content of a mount comes from."""

    path: Text = Field(description="File or directory, relative to the YAML, or a URI.")


class Mount(Model):
    """Read-only inputs that all chunks share."""

    mount_path: AbsolutePath = Field(description="Absolute path in the sandbox.")
    source: MountSource = Field(description="Where the content comes from.")


class Tasklet(Model):
    """A program that is run once for one input: either module or python."""

    module: ModuleSource | None = Field(default=None, description="A WASI preview-1 command module.")
    python: PythonTasklet | None = Field(default=None, description="A Python file.")
    args: tuple[Annotated[str, Field(max_length=32 * KIBI)], ...] = Field(
        default=(),
        max_length=1024,
        description="Arguments without argv[0]; $(CHUNK_INDEX|ID|PATH|NAME|STEM|ATTEMPT) and env names are expanded.",
    )
    env: tuple[EnvironmentVariable, ...] = Field(
        default=(), max_length=256, description="The environment; nothing else is in it."
    )
    mounts: tuple[Mount, ...] = Field(default=(), max_length=64, description="Read-only inputs that all chunks share.")
    fuel: Annotated[Whole, Field(ge=1)] | None = Field(
        default=None, description="Instructions of a chunk. Default: 10000000000; for Python 100000000000."
    )
    memory: TaskletMemory = Field(default=256 * MEBI, description="Memory of a chunk, at most 4Gi.")
    wall_seconds: Annotated[Seconds, Field(le=86400)] = Field(
        default=60, description="Time of a chunk, or of a line in Loop mode."
    )
    max_output: OutputBytes = Field(default=16 * MEBI, description="All of stdout and files of a chunk together.")
    output_files: OutputFiles = Field(
        default=OutputFiles.AUTO, description="Auto: /out exists when an argument or env value names it. Always. Never."
    )
    durable: Flag = Field(default=False, description="True: /durable follows the chunk to other members.")

    @property
    def fuel_limit(self) -> int:
        """Instructions of a chunk: fuel, or the default of its language."""
        if self.fuel is not None:
            return self.fuel
        return MODULE_FUEL if self.python is None else PYTHON_FUEL
