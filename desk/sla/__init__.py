"""What is promised to those who write, how much of the time is gone, and what follows from it."""
