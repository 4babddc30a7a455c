"""Take out of an environment what no service needs: `python3 slim.py /venv`. The Dockerfile calls it once.

Packages stay importable, and their licences stay where they are. What goes:
- the tests of packages, and what only compilers ask for: headers, sources of extensions, build tools
- of pyarrow its network protocol, and copies of a library under names that only linkers ask for
- of compiled files, what is behind the last byte that the loader reads: names and lines for debuggers
- all but one of the same library when several packages brought it along
"""

import hashlib
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

# Known to work without; another package may well read its own sources or headers at run time.
PACKAGES = ("httptools", "joblib", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "skops", "uvloop", "yaml")
FOLDERS = frozenset({"include", "test", "tests"})
SOURCES = frozenset({".a", ".c", ".cc", ".cpp", ".h", ".pxd", ".pxi", ".pyx", ".tp"})
PARTS = (
    "numpy/_core/_simd.*",  # numpy's tests of itself
    "numpy/distutils",
    "pyarrow/*flight*",
    "pyarrow/libarrow_python*.so",
    "pyarrow/libarrow_python*.so.*.*",
    "scipy/io/_fast_matrix_market/_fmm_core.*",  # files in Matrix Market's format
)
# Of an ELF file for 64 bits, as `man 5 elf` has it: where the two tables are, and how they are divided.
ELF_64_LITTLE = b"\x7fELF\x02\x01"
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")


def remove(site: Path) -> None:
    """The parts of packages that are named above."""
    for pattern in PARTS:
        for path in site.glob(pattern):
            _delete(path)
    for name in PACKAGES:
        for folder, folders, files in os.walk(site / name):
            for inner in FOLDERS.intersection(folders):
                _delete(Path(folder, inner))
                folders.remove(inner)
            for file in files:
                if Path(file).suffix in SOURCES:
                    Path(folder, file).unlink()


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def libraries(site: Path) -> Iterator[Path]:
    """Every compiled file, in an order that is always the same."""
    for path in sorted(site.rglob("*.so*")):
        if path.is_file() and not path.is_symlink():
            yield path


def cut(path: Path) -> int:
    """Cut off what no program header names, which the loader never reads; return the number of bytes.

    No byte that stays is moved, so that it works where tools that write a file anew do damage. The table of sections
    goes too: it is for linkers and debuggers.
    """
    data = path.read_bytes()
    if len(data) < HEADER.size or not data.startswith(ELF_64_LITTLE):
        return 0
    header = list(HEADER.unpack_from(data))
    table, size, count = header[5], header[9], header[10]
    end = table + size * count
    if size != SEGMENT.size or end > len(data):
        return 0
    for number in range(count):
        _, _, offset, _, _, length, _, _ = SEGMENT.unpack_from(data, table + number * size)
        end = max(end, offset + length)
    if end >= len(data):
        return 0
    header[6] = header[12] = header[13] = 0  # no table of sections
    path.write_bytes(HEADER.pack(*header) + data[HEADER.size : end])
    return len(data) - end


def share(site: Path) -> None:
    """One file for libraries of the same name and content, such as Fortran's of numpy and of scipy."""
    first: dict[tuple[str, bytes], Path] = {}
    for path in libraries(site):
        kept = first.setdefault((path.name, hashlib.sha256(path.read_bytes()).digest()), path)
        if kept is not path:
            path.unlink()
            path.symlink_to(os.path.relpath(kept, path.parent))


def main() -> None:
    for site in sorted(Path(sys.argv[1]).glob("lib/python*/site-packages")):
        remove(site)
        for path in libraries(site):
            cut(path)
        share(site)


if __name__ == "__main__":
    main()
