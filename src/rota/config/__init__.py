"""What a person writes: reading it with every position, and saying what is wrong with it."""
