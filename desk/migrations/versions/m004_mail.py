"""What deduplication, sent mail and sign-ins need."""

from __future__ import annotations

revision = "m004"
down_revision = "m003"


def upgrade() -> None:
    pass
