"""The service under virtual time. Nothing in Keeper may import this room except the command line."""
