"""Headless training: experiments in TOML become model folders that liverseg_core obeys. Start at fit.py."""
