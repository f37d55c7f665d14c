"""Models behind small ports: what a mail says, what to hide in it, and what to answer."""
