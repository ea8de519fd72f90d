"""What it cost, and who bore it. Pure."""
