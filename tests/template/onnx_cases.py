"""`make onnx` in a trained project: the file predicts what was evaluated, and what can't be written is refused."""

from __future__ import annotations

import json

from tests.template.workbench import Workbench

APART = ("uv", "run", "--quiet", "--isolated", "--locked", "--no-default-groups", "--extra", "onnx", "python")
# Asks the file as a stranger would, by its inputs and outputs alone.
REPLAY = """
import json, numpy, onnxruntime, pandas
session = onnxruntime.InferenceSession("build/model.onnx", providers=["CPUExecutionProvider"])
rows, said = pandas.read_parquet("build/test.parquet"), pandas.read_parquet("reports/predictions.parquet")
ids = [name for name in rows.columns if set(rows[name].astype(str)) == set(said["id"])]
rows = rows.assign(id_=rows[ids[0]].astype(str)).set_index("id_").loc[said["id"]]
feed = {}
for given in session.get_inputs():
    values = rows[given.name]
    text = given.type == "tensor(string)"
    ready = values.fillna("").to_numpy(object) if text else values.to_numpy(float)
    feed[given.name] = ready.reshape(-1, 1)
outputs = [output.name for output in session.get_outputs()]
found = dict(zip(outputs, session.run(outputs, feed)))
facts = session.get_modelmeta().custom_metadata_map
if "y_score" in said:
    positive = facts["classes"].splitlines().index(json.load(open("model/contract.json"))["positive_class"])
    difference = numpy.abs(found["probabilities"][:, positive] - said["y_score"]).max()
    agree = bool((found["y_pred"] == said["y_pred"].to_numpy()).all())
else:
    difference, agree = numpy.abs(found["y_pred"].reshape(-1) - said["y_pred"]).max(), True
print(json.dumps({"rows": len(said), "difference": float(difference), "agree": agree, "hash": facts["model_hash"]}))
"""
REFUSED = """
import pathlib, pandas
from {package} import contract, errors, features, model_file, onnx_graph
from {package}.stages import export_onnx
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

def said(work):
    try:
        work()
    except errors.UserError as error:
        return str(error)

def build(kind, estimator):
    feature = contract.Feature(name="a", type=kind, nullable=False)
    signed = contract.load(pathlib.Path("model/contract.json")).model_copy(
        update=dict(task="classification", classes=["n", "y"], features=[feature])
    )
    values = ["2020-01-01", "2021-01-01"] if kind == "datetime" else [1.0, 2.0]
    rows = signed.conform(pandas.DataFrame(dict(a=values)))
    onnx_graph.build(features.pipeline([feature], estimator).fit(rows, ["n", "y"]), signed)

assert said(lambda: build("number", LogisticRegression())) is None
print(said(lambda: build("datetime", LogisticRegression())))
print(said(lambda: build("number", DummyClassifier())))
real = export_onnx.feed
export_onnx.feed = lambda rows, signed: {{
    name: values if values.dtype == object else values + 1 for name, values in real(rows, signed).items()
}}
out = pathlib.Path("build/other.onnx")
print(said(lambda: export_onnx.export(pathlib.Path("model"), out)))
assert not out.exists()
"""


class OnnxCases:
    """Cases for a project that was set up and trained once (`trained`)."""

    def test_onnx_predicts_what_was_evaluated_or_is_refused(self, trained: Workbench) -> None:
        assert "largest difference" in trained.succeed("make", "onnx").printed
        package = next((trained.project / "src").iterdir()).name
        printed = trained.succeed(*APART, "-c", REPLAY + REFUSED.format(package=package)).printed
        replayed, dates, kind, differs = printed.splitlines()[-4:]
        found = json.loads(replayed)
        assert found["rows"] > 50
        assert found["difference"] < 1e-5
        assert found["agree"]
        assert found["hash"] == trained.json("reports/run.json")["model_hash"]
        assert "the step 'dates' (columns a) has no counterpart" in dates
        assert "does not convert DummyClassifier" in kind
        assert "predicts the evaluation rows with a difference of" in differs
