"""Runs plans: order, failures, retries. It uses no Docker, no disk and no process."""
