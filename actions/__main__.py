"""Start the command line: `launch` runs this folder, so that its first path entry is here whatever the caller's folder is."""

from gitops_ml.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
