"""Reading and writing e-mail: parsing, threads, composing, and the kinds of mailboxes."""
