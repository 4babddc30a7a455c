"""`python -m <package>.service serve` and `... predict`."""

from .. import errors
from .cli import main

errors.run(main)
