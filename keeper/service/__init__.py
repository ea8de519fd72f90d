"""The parts that act, wired to the world through ports only."""
