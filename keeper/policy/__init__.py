"""What should be held, and when to act. Pure."""
