"""Logging in to the registry of images: by an account, the run's own token, or an identity that a cloud trusts."""
