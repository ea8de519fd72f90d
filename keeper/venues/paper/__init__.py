"""The paper exchange: the port of a real one with rules, truth and time of its own. Nothing here sends anything anywhere."""
