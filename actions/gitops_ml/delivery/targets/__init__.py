"""Where releases run: one module per kind of target, all behind the interface in `base`."""
