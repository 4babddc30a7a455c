"""`deploy/slim.py` of a generated project: what it takes out of an environment, and what it must leave alone."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tools.template_files import PROJECT_FOLDER, ROOT

SEGMENTS_END = 300
PT_LOAD = 1


@pytest.fixture(scope="module")
def slim() -> ModuleType:
    path = ROOT / PROJECT_FOLDER / "deploy" / "slim.py"
    spec = importlib.util.spec_from_file_location("slim", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def elf(slim: ModuleType, tail: int, table: int = 64) -> bytes:
    """A file of two segments, the second of which ends first, and `tail` bytes behind them."""
    sections = SEGMENTS_END
    header = slim.HEADER.pack(
        slim.ELF_64_LITTLE + bytes(10), 3, 62, 1, 0, table, sections, 0, 64, 56, 2, 64, 7, 6
    )
    segments = slim.SEGMENT.pack(PT_LOAD, 5, 200, 0x2C8, 0x2C8, SEGMENTS_END - 200, 500, 4096)
    segments += slim.SEGMENT.pack(PT_LOAD, 4, 0, 0, 0, 190, 190, 4096)
    head = header + bytes(table - 64) + segments
    return head + b"x" * (SEGMENTS_END - len(head)) + b"t" * tail


def test_what_is_never_loaded_is_cut_off_to_the_byte(slim: ModuleType, tmp_path: Path) -> None:
    path, before = tmp_path / "a.so", elf(slim, tail=50)
    path.write_bytes(before)
    assert slim.cut(path) == 50
    after = path.read_bytes()
    assert after[slim.HEADER.size :] == before[slim.HEADER.size : SEGMENTS_END]
    old, new = slim.HEADER.unpack_from(before), slim.HEADER.unpack_from(after)
    assert [place for place in range(len(old)) if old[place] != new[place]] == [6, 12, 13]
    assert (new[6], new[12], new[13]) == (0, 0, 0), "no table of sections is said to be there"
    assert slim.cut(path) == 0


def test_files_that_it_does_not_understand_stay_as_they_are(slim: ModuleType, tmp_path: Path) -> None:
    good = elf(slim, tail=50)
    path = tmp_path / "a.so"
    for content in (
        b"",
        b"INPUT(liba.so.1)",
        good[:40],
        good[:100],  # the table of segments is not there
        good[:4] + b"\x01" + good[5:],  # for 32 bits
        good[:5] + b"\x02" + good[6:],  # of a machine with the other order of bytes
        good[:54] + b"\x20" + good[55:],  # segments of another size
        elf(slim, tail=0),
    ):
        path.write_bytes(content)
        assert slim.cut(path) == 0
        assert path.read_bytes() == content


def test_a_real_library_works_as_before(slim: ModuleType, tmp_path: Path) -> None:
    package = Path(np.__file__).parent
    for source in (package, package.parent / "numpy.libs"):
        shutil.copytree(source, tmp_path / source.name, symlinks=True)
    taken = sum(slim.cut(path) for path in slim.libraries(tmp_path))
    assert taken > 0
    slim.remove(tmp_path)
    solved = "numpy.linalg.solve(numpy.eye(3), numpy.ones(3)).sum()"
    code = f"import numpy\nprint(numpy.__file__, {solved}, numpy.random.default_rng(0).random())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        str(tmp_path / "numpy/__init__.py"),
        "3.0",
        str(np.random.default_rng(0).random()),
    ]


def test_only_known_packages_lose_their_tests_and_sources(slim: ModuleType, tmp_path: Path) -> None:
    stay = (
        "numpy/testing/utils.py",
        "numpy/core.py",
        "other/tests/test_a.py",
        "other/include/a.h",
        "numpy-2.0.dist-info/licenses/LICENSE.c",
    )
    go = ("numpy/tests/test_a.py", "sklearn/tree/tests/data/a.csv", "scipy/a.pyx", "numpy/distutils/core.py")
    for name in (*stay, *go):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    slim.remove(tmp_path)
    assert sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    ) == sorted(stay)


def test_a_library_that_two_packages_bring_is_kept_once(slim: ModuleType, tmp_path: Path) -> None:
    content = {
        "a.libs/x.so.1": b"same",
        "b.libs/x.so.1": b"same",
        "c.libs/x.so.1": b"else",
        "b.libs/y.so.1": b"same",
    }
    for name, data in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    slim.share(tmp_path)
    links = [name for name in content if (tmp_path / name).is_symlink()]
    assert links == ["b.libs/x.so.1"]
    assert {name: (tmp_path / name).read_bytes() for name in content} == content
