"""The steps that take a mail to a draft and a reply to the customer, and the queue that orders them."""
