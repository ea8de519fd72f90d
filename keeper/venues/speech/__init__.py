"""How each exchange is asked, and how its answers are read: one module for each, behind one interface."""
