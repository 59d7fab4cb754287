"""Which local time it is for a subject: IANA zones as small numbers, conversions by column."""

from __future__ import annotations

import functools
import os.path
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from agentic.errors import ConfigurationError
from agentic.types import instant

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

UNKNOWN: Final = -1
_SECOND: Final = 1_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


def names() -> tuple[str, ...]:
    """Every zone that has a number; the number is its place here and never changes."""
    return _NAMES


@functools.cache
def _numbers() -> Mapping[str, int]:
    import zoneinfo  # not every agent asks for a local time

    # `available_timezones` opens every file there is, which took a fifth of a first decision.
    there: set[str] = set()
    for folder in zoneinfo.TZPATH:
        missing = [name for name in _NAMES if name not in there]
        there.update(name for name in missing if os.path.isfile(f"{folder}/{name}"))  # noqa: PTH113 - pathlib is dear
        if len(there) == len(_NAMES):
            break
    else:
        there |= zoneinfo.available_timezones()
    return {name: number for number, name in enumerate(_NAMES) if name in there}


@functools.cache
def _usable() -> NDArray[np.bool_]:
    # One entry for every int16, so that no number that was ever stored can be out of bounds.
    usable = np.zeros(1 << 16, dtype=np.bool_)
    usable[list(_numbers().values())] = True
    return usable


def number(name: str, /) -> int:
    """Number of a zone, ``UNKNOWN`` for a name that is not an IANA zone or has no data on this machine."""
    return _numbers().get(name, UNKNOWN) if isinstance(name, str) else UNKNOWN


def check(name: str, what: str, /) -> int:
    """Number of a zone that must exist.

    Raises:
        ConfigurationError: It does not, or this machine has no time zone data.
    """
    found = number(name)
    if found == UNKNOWN:
        hint = "" if _numbers() else "; this machine has no time zone data, install tzdata"
        raise ConfigurationError(
            f"{what} must be an IANA time zone such as 'Asia/Kolkata', got {name!r}{hint}", value=name
        )
    return found


def known(zone: NDArray[np.int16], /) -> NDArray[np.bool_]:
    """Which of these numbers are zones that this machine has data for, shape (n,)."""
    return _usable()[np.asarray(zone, dtype=np.int16).view(np.uint16)]


@functools.cache
def _zone(index: int) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(_NAMES[index])


def _offset(index: int, at_us: int) -> int:
    if index == UNKNOWN:
        return 0
    offset = instant(at_us).astimezone(_zone(index)).utcoffset() or timedelta(0)
    return offset // timedelta(microseconds=1)


@functools.lru_cache(maxsize=1 << 16)
def _steady(index: int, hour: int) -> int | None:
    """Offset during a whole hour since 1970; ``None`` when the clocks change within it."""
    first, last = _offset(index, hour * _HOUR), _offset(index, (hour + 1) * _HOUR - 1)
    return first if first == last else None


def _at(index: int, at_us: int) -> int:
    """Offset of a zone, 0 if unknown, at one instant."""
    if not _usable()[index]:
        return 0
    steady = _steady(index, at_us // _HOUR)
    return _offset(index, at_us) if steady is None else steady


def _same(values: NDArray[np.int16] | NDArray[np.int64]) -> bool:
    return len(values) == 1 or np.count_nonzero(values == values[0]) == len(values)


def offsets(zone: NDArray[np.int16], at_us: NDArray[np.int64], /) -> NDArray[np.int64]:
    """Offset of local time from UTC in microseconds, shape (n,); 0 where the zone is unknown.

    Args:
        zone: Shape (n,), zone numbers, ``UNKNOWN`` allowed.
        at_us: Shape (n,).
    """
    if len(zone) == 0:
        return np.zeros(0, dtype=np.int64)
    if _same(zone) and _same(at_us):
        return np.full(len(zone), _at(int(zone[0]), int(at_us[0])), dtype=np.int64)
    start = int(at_us[0])
    together = np.count_nonzero(at_us == start) == len(zone)
    usable = known(zone)
    if np.count_nonzero(usable) < len(zone):
        zone = np.where(usable, zone, np.int16(UNKNOWN))
    # Usually all rows of a zone ask for one instant: a table over the zones that occur, UNKNOWN last.
    instants = np.full(len(_NAMES) + 1, start, dtype=np.int64)
    if not together:
        instants[zone] = at_us
        if not (instants[zone] == at_us).all():
            return _scattered(zone, at_us)
    there = np.zeros(len(instants), dtype=np.bool_)
    there[zone] = True
    table = np.zeros(len(instants), dtype=np.int64)
    for index in np.flatnonzero(there[:-1]).tolist():
        table[index] = _at(index, int(instants[index]))
    return table[zone]


def _scattered(zone: NDArray[np.int16], at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets for many instants: asked once per zone and hour, and one by one where the clocks change."""
    zones, hour = len(_NAMES) + 1, at_us // _HOUR
    pairs, back = np.unique(hour * zones + (zone + 1), return_inverse=True)
    found = [_steady(pair % zones - 1, pair // zones) for pair in pairs.tolist()]
    out: NDArray[np.int64] = np.array([offset or 0 for offset in found], dtype=np.int64)[back]
    rows = np.flatnonzero(np.array([offset is None for offset in found])[back])
    asked = zip(zone[rows].tolist(), at_us[rows].tolist(), strict=True)
    out[rows] = [_offset(index, at) for index, at in asked]
    return out


def local_minute(zone: NDArray[np.int16], at_us: NDArray[np.int64], /) -> NDArray[np.int64]:
    """Minute of the local day, 0 to 1,439, shape (n,); of the UTC day where the zone is unknown."""
    local = at_us + offsets(zone, at_us)
    # A floor division and a product are a third of the price of a remainder.
    out: NDArray[np.int64] = (local - local // _DAY * _DAY) // _MINUTE
    return out


def shared_minute(zone: NDArray[np.int16], at_us: NDArray[np.int64], /) -> int | None:
    """``local_minute`` of all rows in one number, where they share zone and time; else ``None``.

    Args:
        zone: Shape (n,), n at least 1.
        at_us: Shape (n,).
    """
    if not (_same(zone) and _same(at_us)):
        return None
    at = int(at_us[0])
    return (at + _at(int(zone[0]), at)) % _DAY // _MINUTE


def next_local(zone: NDArray[np.int16], at_us: NDArray[np.int64], minute: int, /) -> NDArray[np.int64]:
    """First instant at or after ``at_us`` whose local time of day is ``minute``, shape (n,).

    A time of day that the clocks skip is taken as many minutes after the gap as it lies inside it. One
    that they show twice counts twice: the second is the first after the first.
    """
    out = np.array(at_us, dtype=np.int64)
    rows = np.arange(len(out))
    while len(rows):
        now, where = out[rows], zone[rows]
        before = offsets(where, now)
        there = now + (minute * _MINUTE - now - before) % _DAY
        out[rows] = there
        # Where the clocks change on the way, the walk begins again at the change.
        moved = offsets(where, there) != before
        rows, where, there, before, now = rows[moved], where[moved], there[moved], before[moved], now[moved]
        change = _change(where, now, there, before)
        skipped = there < change + offsets(where, change) - before
        out[rows] = np.where(skipped, there, change)
        rows = rows[~skipped]
    return out


def _change(
    zone: NDArray[np.int16], low: NDArray[np.int64], high: NDArray[np.int64], before: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The instant in (low, high] from which the offset is no longer ``before``; clocks change on seconds."""
    low, high = low // _SECOND, high // _SECOND
    while (high - low > 1).any():
        middle = (low + high) // 2
        same = offsets(zone, middle * _SECOND) == before
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    found: NDArray[np.int64] = high * _SECOND
    return found


# Numbers are stored in subjects' records, so they must not depend on what a machine has installed:
# names are only ever added, at the end.
_NAMES: Final = tuple(
    """
Africa/Abidjan Africa/Accra Africa/Addis_Ababa Africa/Algiers Africa/Asmara Africa/Asmera Africa/Bamako
Africa/Bangui Africa/Banjul Africa/Bissau Africa/Blantyre Africa/Brazzaville Africa/Bujumbura Africa/Cairo
Africa/Casablanca Africa/Ceuta Africa/Conakry Africa/Dakar Africa/Dar_es_Salaam Africa/Djibouti
Africa/Douala Africa/El_Aaiun Africa/Freetown Africa/Gaborone Africa/Harare Africa/Johannesburg Africa/Juba
Africa/Kampala Africa/Khartoum Africa/Kigali Africa/Kinshasa Africa/Lagos Africa/Libreville Africa/Lome
Africa/Luanda Africa/Lubumbashi Africa/Lusaka Africa/Malabo Africa/Maputo Africa/Maseru Africa/Mbabane
Africa/Mogadishu Africa/Monrovia Africa/Nairobi Africa/Ndjamena Africa/Niamey Africa/Nouakchott
Africa/Ouagadougou Africa/Porto-Novo Africa/Sao_Tome Africa/Timbuktu Africa/Tripoli Africa/Tunis
Africa/Windhoek America/Adak America/Anchorage America/Anguilla America/Antigua America/Araguaina
America/Argentina/Buenos_Aires America/Argentina/Catamarca America/Argentina/ComodRivadavia
America/Argentina/Cordoba America/Argentina/Jujuy America/Argentina/La_Rioja America/Argentina/Mendoza
America/Argentina/Rio_Gallegos America/Argentina/Salta America/Argentina/San_Juan America/Argentina/San_Luis
America/Argentina/Tucuman America/Argentina/Ushuaia America/Aruba America/Asuncion America/Atikokan
America/Atka America/Bahia America/Bahia_Banderas America/Barbados America/Belem America/Belize
America/Blanc-Sablon America/Boa_Vista America/Bogota America/Boise America/Buenos_Aires
America/Cambridge_Bay America/Campo_Grande America/Cancun America/Caracas America/Catamarca America/Cayenne
America/Cayman America/Chicago America/Chihuahua America/Ciudad_Juarez America/Coral_Harbour America/Cordoba
America/Costa_Rica America/Coyhaique America/Creston America/Cuiaba America/Curacao America/Danmarkshavn
America/Dawson America/Dawson_Creek America/Denver America/Detroit America/Dominica America/Edmonton
America/Eirunepe America/El_Salvador America/Ensenada America/Fort_Nelson America/Fort_Wayne
America/Fortaleza America/Glace_Bay America/Godthab America/Goose_Bay America/Grand_Turk America/Grenada
America/Guadeloupe America/Guatemala America/Guayaquil America/Guyana America/Halifax America/Havana
America/Hermosillo America/Indiana/Indianapolis America/Indiana/Knox America/Indiana/Marengo
America/Indiana/Petersburg America/Indiana/Tell_City America/Indiana/Vevay America/Indiana/Vincennes
America/Indiana/Winamac America/Indianapolis America/Inuvik America/Iqaluit America/Jamaica America/Jujuy
America/Juneau America/Kentucky/Louisville America/Kentucky/Monticello America/Knox_IN America/Kralendijk
America/La_Paz America/Lima America/Los_Angeles America/Louisville America/Lower_Princes America/Maceio
America/Managua America/Manaus America/Marigot America/Martinique America/Matamoros America/Mazatlan
America/Mendoza America/Menominee America/Merida America/Metlakatla America/Mexico_City America/Miquelon
America/Moncton America/Monterrey America/Montevideo America/Montreal America/Montserrat America/Nassau
America/New_York America/Nipigon America/Nome America/Noronha America/North_Dakota/Beulah
America/North_Dakota/Center America/North_Dakota/New_Salem America/Nuuk America/Ojinaga America/Panama
America/Pangnirtung America/Paramaribo America/Phoenix America/Port-au-Prince America/Port_of_Spain
America/Porto_Acre America/Porto_Velho America/Puerto_Rico America/Punta_Arenas America/Rainy_River
America/Rankin_Inlet America/Recife America/Regina America/Resolute America/Rio_Branco America/Rosario
America/Santa_Isabel America/Santarem America/Santiago America/Santo_Domingo America/Sao_Paulo
America/Scoresbysund America/Shiprock America/Sitka America/St_Barthelemy America/St_Johns America/St_Kitts
America/St_Lucia America/St_Thomas America/St_Vincent America/Swift_Current America/Tegucigalpa
America/Thule America/Thunder_Bay America/Tijuana America/Toronto America/Tortola America/Vancouver
America/Virgin America/Whitehorse America/Winnipeg America/Yakutat America/Yellowknife Antarctica/Casey
Antarctica/Davis Antarctica/DumontDUrville Antarctica/Macquarie Antarctica/Mawson Antarctica/McMurdo
Antarctica/Palmer Antarctica/Rothera Antarctica/South_Pole Antarctica/Syowa Antarctica/Troll
Antarctica/Vostok Arctic/Longyearbyen Asia/Aden Asia/Almaty Asia/Amman Asia/Anadyr Asia/Aqtau Asia/Aqtobe
Asia/Ashgabat Asia/Ashkhabad Asia/Atyrau Asia/Baghdad Asia/Bahrain Asia/Baku Asia/Bangkok Asia/Barnaul
Asia/Beirut Asia/Bishkek Asia/Brunei Asia/Calcutta Asia/Chita Asia/Choibalsan Asia/Chongqing Asia/Chungking
Asia/Colombo Asia/Dacca Asia/Damascus Asia/Dhaka Asia/Dili Asia/Dubai Asia/Dushanbe Asia/Famagusta Asia/Gaza
Asia/Harbin Asia/Hebron Asia/Ho_Chi_Minh Asia/Hong_Kong Asia/Hovd Asia/Irkutsk Asia/Istanbul Asia/Jakarta
Asia/Jayapura Asia/Jerusalem Asia/Kabul Asia/Kamchatka Asia/Karachi Asia/Kashgar Asia/Kathmandu
Asia/Katmandu Asia/Khandyga Asia/Kolkata Asia/Krasnoyarsk Asia/Kuala_Lumpur Asia/Kuching Asia/Kuwait
Asia/Macao Asia/Macau Asia/Magadan Asia/Makassar Asia/Manila Asia/Muscat Asia/Nicosia Asia/Novokuznetsk
Asia/Novosibirsk Asia/Omsk Asia/Oral Asia/Phnom_Penh Asia/Pontianak Asia/Pyongyang Asia/Qatar Asia/Qostanay
Asia/Qyzylorda Asia/Rangoon Asia/Riyadh Asia/Saigon Asia/Sakhalin Asia/Samarkand Asia/Seoul Asia/Shanghai
Asia/Singapore Asia/Srednekolymsk Asia/Taipei Asia/Tashkent Asia/Tbilisi Asia/Tehran Asia/Tel_Aviv
Asia/Thimbu Asia/Thimphu Asia/Tokyo Asia/Tomsk Asia/Ujung_Pandang Asia/Ulaanbaatar Asia/Ulan_Bator
Asia/Urumqi Asia/Ust-Nera Asia/Vientiane Asia/Vladivostok Asia/Yakutsk Asia/Yangon Asia/Yekaterinburg
Asia/Yerevan Atlantic/Azores Atlantic/Bermuda Atlantic/Canary Atlantic/Cape_Verde Atlantic/Faeroe
Atlantic/Faroe Atlantic/Jan_Mayen Atlantic/Madeira Atlantic/Reykjavik Atlantic/South_Georgia
Atlantic/St_Helena Atlantic/Stanley Australia/ACT Australia/Adelaide Australia/Brisbane
Australia/Broken_Hill Australia/Canberra Australia/Currie Australia/Darwin Australia/Eucla Australia/Hobart
Australia/LHI Australia/Lindeman Australia/Lord_Howe Australia/Melbourne Australia/NSW Australia/North
Australia/Perth Australia/Queensland Australia/South Australia/Sydney Australia/Tasmania Australia/Victoria
Australia/West Australia/Yancowinna Brazil/Acre Brazil/DeNoronha Brazil/East Brazil/West CET CST6CDT
Canada/Atlantic Canada/Central Canada/Eastern Canada/Mountain Canada/Newfoundland Canada/Pacific
Canada/Saskatchewan Canada/Yukon Chile/Continental Chile/EasterIsland Cuba EET EST EST5EDT Egypt Eire
Etc/GMT Etc/GMT+0 Etc/GMT+1 Etc/GMT+10 Etc/GMT+11 Etc/GMT+12 Etc/GMT+2 Etc/GMT+3 Etc/GMT+4 Etc/GMT+5
Etc/GMT+6 Etc/GMT+7 Etc/GMT+8 Etc/GMT+9 Etc/GMT-0 Etc/GMT-1 Etc/GMT-10 Etc/GMT-11 Etc/GMT-12 Etc/GMT-13
Etc/GMT-14 Etc/GMT-2 Etc/GMT-3 Etc/GMT-4 Etc/GMT-5 Etc/GMT-6 Etc/GMT-7 Etc/GMT-8 Etc/GMT-9 Etc/GMT0
Etc/Greenwich Etc/UCT Etc/UTC Etc/Universal Etc/Zulu Europe/Amsterdam Europe/Andorra Europe/Astrakhan
Europe/Athens Europe/Belfast Europe/Belgrade Europe/Berlin Europe/Bratislava Europe/Brussels
Europe/Bucharest Europe/Budapest Europe/Busingen Europe/Chisinau Europe/Copenhagen Europe/Dublin
Europe/Gibraltar Europe/Guernsey Europe/Helsinki Europe/Isle_of_Man Europe/Istanbul Europe/Jersey
Europe/Kaliningrad Europe/Kiev Europe/Kirov Europe/Kyiv Europe/Lisbon Europe/Ljubljana Europe/London
Europe/Luxembourg Europe/Madrid Europe/Malta Europe/Mariehamn Europe/Minsk Europe/Monaco Europe/Moscow
Europe/Nicosia Europe/Oslo Europe/Paris Europe/Podgorica Europe/Prague Europe/Riga Europe/Rome Europe/Samara
Europe/San_Marino Europe/Sarajevo Europe/Saratov Europe/Simferopol Europe/Skopje Europe/Sofia
Europe/Stockholm Europe/Tallinn Europe/Tirane Europe/Tiraspol Europe/Ulyanovsk Europe/Uzhgorod Europe/Vaduz
Europe/Vatican Europe/Vienna Europe/Vilnius Europe/Volgograd Europe/Warsaw Europe/Zagreb Europe/Zaporozhye
Europe/Zurich GB GB-Eire GMT GMT+0 GMT-0 GMT0 Greenwich HST Hongkong Iceland Indian/Antananarivo
Indian/Chagos Indian/Christmas Indian/Cocos Indian/Comoro Indian/Kerguelen Indian/Mahe Indian/Maldives
Indian/Mauritius Indian/Mayotte Indian/Reunion Iran Israel Jamaica Japan Kwajalein Libya MET MST MST7MDT
Mexico/BajaNorte Mexico/BajaSur Mexico/General NZ NZ-CHAT Navajo PRC PST8PDT Pacific/Apia Pacific/Auckland
Pacific/Bougainville Pacific/Chatham Pacific/Chuuk Pacific/Easter Pacific/Efate Pacific/Enderbury
Pacific/Fakaofo Pacific/Fiji Pacific/Funafuti Pacific/Galapagos Pacific/Gambier Pacific/Guadalcanal
Pacific/Guam Pacific/Honolulu Pacific/Johnston Pacific/Kanton Pacific/Kiritimati Pacific/Kosrae
Pacific/Kwajalein Pacific/Majuro Pacific/Marquesas Pacific/Midway Pacific/Nauru Pacific/Niue Pacific/Norfolk
Pacific/Noumea Pacific/Pago_Pago Pacific/Palau Pacific/Pitcairn Pacific/Pohnpei Pacific/Ponape
Pacific/Port_Moresby Pacific/Rarotonga Pacific/Saipan Pacific/Samoa Pacific/Tahiti Pacific/Tarawa
Pacific/Tongatapu Pacific/Truk Pacific/Wake Pacific/Wallis Pacific/Yap Poland Portugal ROC ROK Singapore
Turkey UCT US/Alaska US/Aleutian US/Arizona US/Central US/East-Indiana US/Eastern US/Hawaii
US/Indiana-Starke US/Michigan US/Mountain US/Pacific US/Samoa UTC Universal W-SU WET Zulu
""".split()  # noqa: SIM905 - as a list of literals nobody could read it
)
