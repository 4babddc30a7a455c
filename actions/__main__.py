"""Start the command line. `launch` runs this folder, so the first path entry is here wherever the caller is."""

from gitops_ml.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
