"""What this repository's own commands run; nothing here is copied into a generated project."""
