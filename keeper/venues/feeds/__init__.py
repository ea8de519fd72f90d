"""Where a paper exchange gets its prices, books and time from. A feed never learns what was traded against it."""
