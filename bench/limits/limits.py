"""What a measurement must not miss: told line by line, and in the exit code."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field


@dataclass(slots=True)
class Limits:
    missed: list[str] = field(default_factory=list)

    def at_least(self, name: str, value: float, wanted: float, unit: str = "") -> None:
        self._tell(name, f"{value:,.4g}{unit}", f"at least {wanted:,g}{unit}", value >= wanted)

    def at_most(self, name: str, value: float, wanted: float, unit: str = "") -> None:
        self._tell(name, f"{value:,.4g}{unit}", f"at most {wanted:,g}{unit}", value <= wanted)

    def _tell(self, name: str, value: str, wanted: str, is_kept: bool) -> None:
        print(f"  {'ok' if is_kept else 'MISSED':7}{name:42} {value:>12}   ({wanted})", flush=True)
        if not is_kept:
            self.missed.append(name)

    def leave(self) -> None:
        """Exit code 1 when one was missed."""
        sys.exit(f"missed: {', '.join(self.missed)}" if self.missed else 0)
