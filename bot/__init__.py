"""Where people meet the desk: cards, commands, and the networks that show them."""
