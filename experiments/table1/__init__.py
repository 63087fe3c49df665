"""Table 1 of the Cramer-Wold paper: its rows, its runs, a process pool for them, and its page."""
