"""What can be proved later: records in a chain, signed."""
