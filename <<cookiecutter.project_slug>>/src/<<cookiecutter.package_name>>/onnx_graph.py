"""The fitted pipeline as one ONNX graph, for programs without Python; needs the extra `onnx`.

skl2onnx converts the estimator. It has no converter for the encoding of `features.pipeline` (indicators of missing
values, missing text, categories that share a column), so that is written here, read off the fitted steps: numbers are
arithmetic, and a category is a look-up.

Inputs are one tensor of shape (rows, 1) per column: doubles for numbers and for flags (1 and 0), NaN where missing;
strings for categories, in the exact spelling of training, empty where missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .contract import Contract
from .errors import UserError

OPSETS = {"": 21, "ai.onnx.ml": 4}
ENCODED, GIVEN = "encoded", "given"
_UNSEEN = "\0 never seen"


class Encoding:
    """The nodes from the columns to the matrix `encoded`, in doubles."""

    def __init__(self) -> None:
        self.inputs: list[onnx.ValueInfoProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def column(self, name: str, kind: int) -> None:
        self.inputs.append(helper.make_tensor_value_info(name, kind, [None, 1]))

    def constant(self, name: str, values: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output


def build(pipeline: Any, contract: Contract) -> onnx.ModelProto:
    """The graph, with the outputs `y_pred` (rows,), and `probabilities` (rows, classes) in the contract's order.

    Raises:
        UserError: a step, a column or the estimator has no counterpart in ONNX; says which.
    """
    encoding = Encoding()
    if not isinstance(pipeline, Pipeline) or len(pipeline) != 2 or not isinstance(pipeline[0], ColumnTransformer):
        raise _impossible("the pipeline is not an encoding of columns and an estimator")
    if contract.task == "classification" and list(map(str, pipeline.classes_)) != contract.classes:
        raise _impossible("the model and its contract have their classes in another order")
    blocks = []
    for name, step, columns in pipeline[0].transformers_:
        if name == "remainder" and isinstance(step, str) and step == "drop":
            continue
        block = _numbers(encoding, name, step, columns) or _words(encoding, name, step, columns)
        if block is None:
            raise _impossible(f"the step {name!r} (columns {', '.join(map(str, columns))}) has no counterpart")
        blocks.append(block)
    encoding.add("Concat", blocks, ENCODED, axis=1)
    return _whole(encoding, pipeline[-1], contract)


def _impossible(reason: str) -> UserError:
    return UserError(f"the model cannot be written as ONNX: {reason}")


def _numbers(encoding: Encoding, prefix: str, step: Any, names: list[str]) -> str | None:
    """Imputation of numbers or flags with its indicators, and scaling where there is some."""
    imputer, scaler = (step[0], step[1]) if isinstance(step, Pipeline) and len(step) == 2 else (step, None)
    if not isinstance(imputer, SimpleImputer) or not isinstance(scaler, StandardScaler | None):
        return None
    fill = np.asarray(imputer.statistics_)
    if fill.dtype.kind != "f" or np.isnan(fill).any():
        return None
    for name in names:
        encoding.column(name, TensorProto.DOUBLE)
    given = encoding.add("Concat", list(names), f"{prefix}/given", axis=1)
    missing = encoding.add("IsNaN", [given], f"{prefix}/missing")
    ready = encoding.add("Where", [missing, encoding.constant(f"{prefix}/fill", fill), given], f"{prefix}/filled")
    flagged = np.asarray(imputer.indicator_.features_ if imputer.add_indicator else [], dtype=np.int64)
    if len(flagged):
        chosen = [missing, encoding.constant(f"{prefix}/flagged", flagged)]
        flags = encoding.add("Gather", chosen, f"{prefix}/chosen", axis=1)
        flags = encoding.add("Cast", [flags], f"{prefix}/flags", to=TensorProto.DOUBLE)
        ready = encoding.add("Concat", [ready, flags], f"{prefix}/whole", axis=1)
    if scaler is None:
        return ready
    centred = encoding.add("Sub", [ready, encoding.constant(f"{prefix}/mean", scaler.mean_)], f"{prefix}/centred")
    return encoding.add("Div", [centred, encoding.constant(f"{prefix}/scale", scaler.scale_)], f"{prefix}/scaled")


def _words(encoding: Encoding, prefix: str, step: Any, names: list[str]) -> str | None:
    """One-hot encoding as a table with a row per category, one for missing text, and one for any other."""
    if not (isinstance(step, Pipeline) and isinstance(step[0], SimpleImputer) and isinstance(step[-1], OneHotEncoder)):
        return None
    parts = []
    for place, name in enumerate(names):
        filler = str(step[0].fill_value)
        known = [str(value) for value in step[-1].categories_[place] if value != filler]
        rows = [*known, None, _UNSEEN]
        asked = pd.DataFrame({other: [None] * len(rows) for other in names}, dtype=object)
        asked[name] = pd.Series(rows, dtype=object)
        encoded = np.asarray(step.transform(asked), dtype=float)
        owned = [str(made).startswith(f"{place}_") for made in _made_names(step[-1], len(names))]
        encoding.column(name, TensorProto.STRING)
        at = f"{prefix}/{place}"
        index = encoding.add(
            "LabelEncoder",
            [name],
            f"{at}/row",
            domain="ai.onnx.ml",
            keys_strings=[*known, "", filler],
            values_int64s=[*range(len(known) + 1), len(known)],
            default_int64=len(known) + 1,
        )
        flat = encoding.add("Reshape", [index, encoding.constant(f"{at}/flat", np.array([-1]))], f"{at}/flat_row")
        table = encoding.constant(f"{at}/table", encoded[:, owned])
        parts.append(encoding.add("Gather", [table, flat], f"{at}/encoded", axis=0))
    return encoding.add("Concat", parts, f"{prefix}/encoded", axis=1)


def _made_names(encoder: OneHotEncoder, count: int) -> list[str]:
    return list(encoder.get_feature_names_out([str(place) for place in range(count)]))


def _whole(encoding: Encoding, estimator: Any, contract: Contract) -> onnx.ModelProto:
    """The encoding and the estimator as skl2onnx converts it: in doubles, else in single precision, as trees need."""
    options = {id(estimator): {"zipmap": False}} if contract.task == "classification" else None
    reason = ""
    for kind in (DoubleTensorType, FloatTensorType):
        given = [(GIVEN, kind([None, estimator.n_features_in_]))]
        try:
            converted = to_onnx(estimator, initial_types=given, options=options, target_opset=OPSETS)
            whole = _joined(encoding, converted, contract)
            onnx.checker.check_model(whole, full_check=True)
        except Exception as error:  # each library has errors of its own for each estimator
            reason = reason or " ".join(str(error).split())[:120]
        else:
            return whole
    raise _impossible(f"skl2onnx does not convert {type(estimator).__name__} ({reason})")


def _joined(encoding: Encoding, estimator: onnx.ModelProto, contract: Contract) -> onnx.ModelProto:
    """One graph of both, whose outputs have the names of the contract."""
    made = [output.name for output in estimator.graph.output]
    wanted = ["y_pred", "probabilities"] if contract.task == "classification" else ["y_pred"]
    renamed = dict(zip(made, wanted, strict=True))
    nodes = list(estimator.graph.node)
    for node in nodes:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    outputs = list(estimator.graph.output)
    for output in outputs:
        output.name = renamed[output.name]
    taken = estimator.graph.input[0].type.tensor_type.elem_type
    graph = helper.make_graph(
        [*encoding.nodes, helper.make_node("Cast", [ENCODED], [GIVEN], to=taken), *nodes],
        "model",
        encoding.inputs,
        outputs,
        [*encoding.constants, *estimator.graph.initializer],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, producer_name=__name__.partition(".")[0], ir_version=10)
    facts = {"model_name": contract.model_name, "model_hash": contract.model_hash, "data_hash": contract.data_hash}
    helper.set_model_props(model, facts | {"classes": "\n".join(contract.classes)})
    return model
