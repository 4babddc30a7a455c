"""Delivery: releases, environments and what may move where. Git only in `git`, `state` and `checkout`."""
