"""The composition of the processes and the commands; only app.py imports it, it may import all."""
