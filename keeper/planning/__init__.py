"""From the gap to an approved plan. Pure."""
