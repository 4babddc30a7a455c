"""Delivery: releases, environments and what may move where. Decisions are in the modules that import no git."""
