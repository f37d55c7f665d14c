"""Months, days, units, currencies and small numbers in English, German, French and Spanish."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType


def _numbered(rows: str, first: int) -> Mapping[str, int]:
    """One row a number, the words of all languages in it."""
    lines = enumerate(rows.strip().splitlines(), first)
    return MappingProxyType({word: n for n, line in lines for word in line.split()})


def alternatives(words: Iterable[str]) -> str:
    """A pattern for any of the words, the longest first."""
    ordered = sorted(words, key=len, reverse=True)
    return "(?:" + "|".join(re.escape(word) for word in ordered) + ")"


MONTHS = _numbered(
    """january jan januar jänner janvier janv enero ene
    february feb februar février févr fevrier febrero
    march mar märz maerz mars marzo
    april apr avril avr abril abr
    may mai mayo
    june jun juni juin junio
    july jul juli juillet juil julio
    august aug août aout agosto
    september sep sept septembre septiembre
    october oct oktober okt octobre octubre
    november nov novembre noviembre
    december dec dezember dez décembre déc diciembre dic""",
    1,
)

WEEKDAYS = _numbered(
    """monday montag lundi lunes
    tuesday dienstag mardi martes
    wednesday mittwoch mercredi miércoles
    thursday donnerstag jeudi jueves
    friday freitag vendredi viernes
    saturday samstag samedi sábado
    sunday sonntag dimanche domingo""",
    0,
)

SHORT_WEEKDAYS = _numbered(  # only in ranges such as Mo-Fr: alone many are common words
    """Mon Mo Lun
    Tue Tues Di Mar
    Wed Mi Mer Mié
    Thu Thur Thurs Do Jeu Jue
    Fri Fr Ven Vie
    Sat Sa Sam Sáb
    Sun So Dim Dom""",
    0,
)

_SMALL = _numbered(
    """one ein eine einen einem einer un una une
    two zwei deux dos
    three drei trois tres
    four vier quatre cuatro
    five fünf cinq cinco
    six sechs seis
    seven sieben sept siete
    eight acht huit ocho
    nine neun neuf nueve
    ten zehn dix diez
    eleven elf onze once
    twelve zwölf douze doce
    thirteen dreizehn treize trece
    fourteen vierzehn quatorze catorce
    fifteen fünfzehn quinze quince""",
    1,
)
_TENS = """20 twenty zwanzig vingt veinte
30 thirty dreißig trente treinta
60 sixty sechzig soixante sesenta
90 ninety neunzig noventa"""
NUMBERS: Mapping[str, int] = MappingProxyType(
    {
        **_SMALL,
        **{
            word: int(n)
            for n, *words in (line.split() for line in _TENS.splitlines())
            for word in words
        },
    }
)

_LENGTHS = """span 1 minute minutes min mins minuten minuto minutos
span 60 hour hours hr hrs stunde stunden std heure heures hora horas
span 1440 day days tag tage tagen tages werktag werktage werktagen arbeitstag arbeitstage \
arbeitstagen bankarbeitstage tägig tägige tägigen tägiges jour jours día días dia dias
span 10080 week weeks woche wochen semaine semaines semana semanas
months 1 month months monat monate monaten monats mois mes meses
months 12 year years jahr jahre jahren jahres an ans année années año años"""


def _units() -> Mapping[str, tuple[str, Decimal]]:
    rows = (line.split() for line in _LENGTHS.splitlines())
    return MappingProxyType(
        {word: (scale, Decimal(length)) for scale, length, *words in rows for word in words}
    )


UNITS = _units()
"""Unit of time -> whether it is counted in minutes ("span") or in months, and how many of them."""

_MONIES = """EUR € eur euro euros
USD $ us$ usd dollar dollars dólar dólares
GBP £ gbp pound pounds pfund
CHF chf sfr franken francs
JPY ¥ jpy yen
SEK sek kronor
NOK nok
DKK dkk kroner
PLN pln zł"""
CURRENCIES: Mapping[str, str] = MappingProxyType(
    {
        word: code
        for code, *words in (line.split() for line in _MONIES.splitlines())
        for word in words
    }
)
