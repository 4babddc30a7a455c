"""Short names for the array types of the comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.integer[Any]]
Numbers = npt.NDArray[Any]  # class numbers or values, by task; counts or weights
