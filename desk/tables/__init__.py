"""The tables, each beside what it belongs with. All are known as soon as one is imported."""

from desk.tables import audit, jobs, knowledge, mailboxes, people, responses, sla, tickets

__all__ = ["audit", "jobs", "knowledge", "mailboxes", "people", "responses", "sla", "tickets"]
