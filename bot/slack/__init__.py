"""Slack: cards as Block Kit, clicks and commands over HTTP or Socket Mode."""
