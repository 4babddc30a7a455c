"""Data that DVC keeps: what a checkout names, the right to read it, and fetching it without that checkout's say."""
