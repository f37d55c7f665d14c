"""The console: the cards in a browser, for a desk without Slack or Teams, and beside them."""
