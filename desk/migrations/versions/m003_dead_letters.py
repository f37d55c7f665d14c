"""What dead letters and priorities need."""

from __future__ import annotations

revision = "m003"
down_revision = "m002"


def upgrade() -> None:
    pass
