"""Settings of a repository on its forge, as files of `.github/settings` want them, and as they are."""
