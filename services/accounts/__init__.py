"""Accounts: clients, placements, persons, ledgers, disputes and holds."""
