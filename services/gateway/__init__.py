"""The HTTP face: creditors place and follow accounts over REST; what they send becomes commands of accounts."""
