"""What SLA clocks and escalations need."""

from __future__ import annotations

revision = "m002"
down_revision = "m001"


def upgrade() -> None:
    pass
