"""From an approved plan to fills. Pure: it only proposes."""
