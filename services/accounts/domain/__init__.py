"""The rules of accounts, pure: commands and state in, facts or a named refusal out."""
