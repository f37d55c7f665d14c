"""The steps that take a mail to a draft and a reply to its customer, and the queue in between."""
