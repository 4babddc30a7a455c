"""From a table of rows to a model and its reports; one module per noun, one stage per step of `dvc.yaml`."""
