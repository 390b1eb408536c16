"""Compares a run with bare wasmtime, byte for byte: python compare.py JOB.yaml RESULTS

For a Job with `files` input and the layout ByPath: runs the module once for each file, in this process, with the
defaults of wasmtime and none of LeaseGrid's code, and compares stdout and every file of /out. Exits with 0, or with 1
and the faults.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wasmtime
import yaml


class Bare:
    """A Job's tasklet on bare wasmtime."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        """Compiles the module; paths in `spec` are relative to `folder`."""
        tasklet, self.folder = spec["tasklet"], folder
        path = folder / tasklet["module"]["path"]
        self.engine = wasmtime.Engine()
        self.module = wasmtime.Module.from_file(self.engine, str(path))
        self.name, self.arguments = path.stem, tasklet.get("args", [])
        self.mounts = [(folder / mount["source"]["path"], mount["mountPath"]) for mount in tasklet.get("mounts", [])]
        self.root = folder / spec["input"]["files"]["root"]

    def run(self, path: Path, scratch: Path) -> dict[str, bytes]:
        """The outputs for one input file, by path. Raises ValueError for another exit code than 0."""
        name = path.relative_to(self.root).as_posix()
        words = {"$(CHUNK_PATH)": name, "$(CHUNK_NAME)": path.name, "$(CHUNK_STEM)": path.stem}
        (scratch / "out").mkdir()
        code = self.start([self.name, *(expanded(argument, words) for argument in self.arguments)], path, scratch)
        if code:
            raise ValueError(f"bare wasmtime ends with exit code {code}: {(scratch / 'stderr').read_text()}")
        outputs = {f"{name}.stdout": (scratch / "stdout").read_bytes()}
        return outputs | files(scratch / "out")

    def start(self, argv: list[str], path: Path, scratch: Path) -> int:
        """The exit code of one run."""
        wasi = wasmtime.WasiConfig()
        wasi.argv = argv
        wasi.stdin_file = str(path)
        wasi.stdout_file, wasi.stderr_file = str(scratch / "stdout"), str(scratch / "stderr")
        wasi.preopen_dir(str(self.root), "/in", fs_mutable=False)
        wasi.preopen_dir(str(scratch / "out"), "/out")
        for source, mount_path in self.mounts:
            wasi.preopen_dir(str(source), mount_path, fs_mutable=False)
        store, linker = wasmtime.Store(self.engine), wasmtime.Linker(self.engine)
        store.set_wasi(wasi)
        linker.define_wasi()
        start = linker.instantiate(store, self.module).exports(store)["_start"]
        assert isinstance(start, wasmtime.Func), "the module is no WASI command"
        try:
            start(store)
        except wasmtime.ExitTrap as ended:
            return ended.code
        return 0


def expanded(argument: str, words: dict[str, str]) -> str:
    """The argument with the chunk's words put in."""
    for word, value in words.items():
        argument = argument.replace(word, value)
    return argument


def files(folder: Path) -> dict[str, bytes]:
    """All files below the folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def differences(folder: Path, spec: dict[str, Any], results: Path) -> Iterator[str]:
    """One line for each output that is not what bare wasmtime gives."""
    bare, expected = Bare(folder, spec), dict[str, bytes]()
    for path in sorted({path for pattern in spec["input"]["files"]["globs"] for path in folder.glob(pattern)}):
        with tempfile.TemporaryDirectory() as scratch:
            expected |= bare.run(path, Path(scratch))
    made = files(results)
    for name in sorted(expected.keys() | made.keys()):
        # A run need not write a file for a stdout on which nothing was printed.
        if expected.get(name) or name in made:
            if name not in made:
                yield f"{name}: missing"
            elif made[name] != expected.get(name):
                yield f"{name}: differs" if name in expected else f"{name}: bare wasmtime makes no such file"
    if not expected:
        yield f"no file matches {spec['input']['files']['globs']}"
    print(f"{len(made)} files in {results}, of {sum(map(len, made.values()))} bytes")


def main() -> int:
    """The exit code."""
    job, results = Path(sys.argv[1]), Path(sys.argv[2])
    spec = yaml.safe_load(job.read_text(encoding="utf-8"))["spec"]
    faults = list(differences(job.parent, spec, results))
    for fault in faults:
        print("wrong:", fault, file=sys.stderr)
    if not faults:
        print("right: every byte is what bare wasmtime gives")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
