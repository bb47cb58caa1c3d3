"""Figures as ratios against a peer or a limit, always measured interleaved in one run."""
