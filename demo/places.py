"""The states of the Union with a city each, for tradelines that say no place."""

from __future__ import annotations

import random
from typing import Final

CITY_BY_STATE: Final = {
    "AK": "Anchorage",
    "AL": "Birmingham",
    "AR": "Little Rock",
    "AZ": "Phoenix",
    "CA": "Fresno",
    "CO": "Denver",
    "CT": "Hartford",
    "DC": "Washington",
    "DE": "Wilmington",
    "FL": "Tampa",
    "GA": "Macon",
    "HI": "Honolulu",
    "IA": "Des Moines",
    "ID": "Boise",
    "IL": "Peoria",
    "IN": "Fort Wayne",
    "KS": "Wichita",
    "KY": "Louisville",
    "LA": "Shreveport",
    "MA": "Worcester",
    "MD": "Baltimore",
    "ME": "Portland",
    "MI": "Flint",
    "MN": "Duluth",
    "MO": "Springfield",
    "MS": "Jackson",
    "MT": "Billings",
    "NC": "Greensboro",
    "ND": "Fargo",
    "NE": "Omaha",
    "NH": "Manchester",
    "NJ": "Trenton",
    "NM": "Albuquerque",
    "NV": "Reno",
    "NY": "Buffalo",
    "OH": "Akron",
    "OK": "Tulsa",
    "OR": "Salem",
    "PA": "Scranton",
    "PR": "San Juan",
    "RI": "Providence",
    "SC": "Columbia",
    "SD": "Sioux Falls",
    "TN": "Knoxville",
    "TX": "Lubbock",
    "UT": "Provo",
    "VA": "Roanoke",
    "VT": "Burlington",
    "WA": "Spokane",
    "WI": "Madison",
    "WV": "Charleston",
    "WY": "Cheyenne",
}


def settle(city: str, state: str, chance: random.Random) -> tuple[str, str]:
    """A city and a state: those given where they are known, others by chance."""
    if state not in CITY_BY_STATE:
        state = chance.choice(sorted(CITY_BY_STATE))
        city = ""
    return city or CITY_BY_STATE[state], state
