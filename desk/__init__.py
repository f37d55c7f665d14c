"""The help desk itself: its words, rules and records. Imports no other package of ours."""
