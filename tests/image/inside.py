"""Programs for Python inside the image; each prints JSON."""

# Who it runs as, and in which folders it can write.
WRITES = """
import json, os, tempfile
def can(folder):
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
folders = ['/', '/app', '/model', '/venv', '/venv/bin', '/etc', '/tmp']
print(json.dumps([os.getuid(), os.getgid(), [folder for folder in folders if can(folder)]]))
"""

# Each compiled file that has more than the loader reads, each folder of tests, each licence that its package names and
# that is not there; and whether what is lazily imported can be.
SLIM = """
import csv, importlib, json, pathlib, sys
from sklearn.utils import all_estimators
site = pathlib.Path(next(path for path in sys.path if path.endswith('site-packages')))
compiled = [path for path in site.rglob('*.so*') if path.is_file()]
symbols = [str(path) for path in compiled if any(path.read_bytes()[40:48])]
folders = [str(path) for name in ('scipy', 'sklearn', 'pandas') for path in (site / name).rglob('tests')]
gone = []
for record in site.glob('*.dist-info/RECORD'):
    named = [row[0] for row in csv.reader(record.read_text().splitlines()) if row]
    gone += [name for name in named if 'licen' in name.lower() and '.dist-info/' in name and not (site / name).exists()]
parts = ['cluster', 'fft', 'integrate', 'interpolate', 'io', 'linalg', 'ndimage', 'odr', 'optimize', 'signal', 'sparse']
names = ['scipy.' + part for part in [*parts, 'sparse.csgraph', 'spatial', 'special', 'stats']]
names += ['pyarrow.' + part for part in ('compute', 'csv', 'dataset', 'fs', 'parquet', '_s3fs', '_gcsfs', '_azurefs')]
names += ['numpy.f2py', 'numpy.testing', 'uvloop', 'httptools', 'yaml._yaml']
for name in names:
    importlib.import_module(name)
print(json.dumps([len(compiled), symbols, folders, gone, len(all_estimators())]))
"""
