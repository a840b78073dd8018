"""The harnesses that show the promises P1-P10, and the program that runs them in full."""
