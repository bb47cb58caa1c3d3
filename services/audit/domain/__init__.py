"""The second reading of the log: pure, written from the contracts alone, and sharing no code with any owner."""
