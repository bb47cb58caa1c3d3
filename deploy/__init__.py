"""How Recoup is installed and run."""
