"""Keeper holds an exchange account at its mandate."""
