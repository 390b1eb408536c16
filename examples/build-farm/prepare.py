"""Copies the modules of this interpreter's standard library into the folder stdlib beside this file: python prepare.py

Copies, so that one may change a module and see that the second run compiles it alone. Tests and installed packages
stay out.
"""

import shutil
import sysconfig
from pathlib import Path

LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}


def modules(library: Path) -> list[Path]:
    """The modules' paths below `library`."""
    paths = (path.relative_to(library) for path in library.rglob("*.py"))
    return sorted(path for path in paths if LEFT_OUT.isdisjoint(path.parts))


def main() -> None:
    """Replaces the folder; a module that did not change keeps its content, and so its place in the cache."""
    library, target = Path(sysconfig.get_paths()["stdlib"]), Path(__file__).with_name("stdlib")
    shutil.rmtree(target, ignore_errors=True)
    paths = modules(library)
    for path in paths:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library / path, target / path)
    print(f"{target.name}: {len(paths)} modules")


if __name__ == "__main__":
    main()
