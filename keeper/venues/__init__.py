"""Exchanges: real ones through ccxt, and the paper exchange."""
