"""One module per step of `dvc.yaml`, and per verb of the Makefile; run as `python -m <package>.stages.<name>`."""
