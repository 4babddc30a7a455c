"""Delivery: releases, environments and what may move where. Decisions are pure; git sits in `git`, `state`, `checkout`."""
