"""The knowledge base: articles, their passages, and the search for those that answer a mail."""
