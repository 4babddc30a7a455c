"""The model as a service: HTTP for single requests, files for many rows; `python -m <package>.service --help`."""
