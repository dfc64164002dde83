"""The table of GS1 application identifiers: what may stand behind each, and what must or must not stand beside it.

Facts from the GS1 General Specifications, section 3 (as they stand in 2026), and the GS1 Barcode Syntax Dictionary. One
line for each AI or family of AIs; the columns are

    AI          digits; [0-5] stands for each of them
    content     parts in order: n digits, x any of the 82 characters, y of 39, z of 64 (General Specifications, section
                7.11); 14 = exactly, ..20 = up to; in [ ] what may be missing; after ':' the rules of `content` it keeps
    link        in a Digital Link: 'key', with the qualifiers that may follow it in this order (/ parts alternatives);
                'attribute' in the query; 'qualifier' behind a key only; '-' nowhere
    with        AIs one of which must be on the same pack (+ = both); ; parts several such demands; n is any digit
    never with  AIs that must not be on the same pack, other than itself
    title       data title

Company prefixes are only checked where a key has letters: their assignment is in no public table, and a numeric key is
made of digits anyway.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

_TABLE = """
00       | n18:check              | key             | -                      | -                 | SSCC
01       | n14:check              | key 22 10 21/235 | -                     | 255 37            | GTIN
02       | n14:check              | attribute       | 37                     | 01 03             | CONTENT
03       | n14:check              | -               | -                      | 01 02 37          | MTO GTIN
10       | x..20                  | attribute       | 01 02 03 8006 8026     | -                 | BATCH/LOT
11       | n6:month               | attribute       | 01 02 03 8006 8026     | -                 | PROD DATE
12       | n6:month               | attribute       | 8020                   | -                 | DUE DATE
13       | n6:month               | attribute       | 01 02 03 8006 8026     | -                 | PACK DATE
15       | n6:month               | attribute       | 01 02 03 8006 8026     | -                 | BEST BEFORE
16       | n6:month               | attribute       | 01 02 03 8006 8026     | -                 | SELL BY
17       | n6:month               | attribute       | 01 02 03 255 8006 8026 | -                 | USE BY
20       | n2                     | attribute       | 01 02 8006 8026        | -                 | VARIANT
21       | x..20                  | qualifier       | 01 03 8006             | 235               | SERIAL
22       | x..20                  | qualifier       | 01                     | -                 | CPV
235      | x..28                  | qualifier       | 01                     | -                 | TPX
240      | x..30                  | attribute       | 01 02 8006 8026        | -                 | ADDITIONAL ID
241      | x..30                  | attribute       | 01 02 8006 8026        | -                 | CUST. PART No.
242      | n..6                   | attribute       | 01 02 8006 8026        | -                 | MTO VARIANT
243      | x..20                  | attribute       | 01                     | -                 | PCN
250      | x..30                  | attribute       | 01 8006; 21            | -                 | SECONDARY SERIAL
251      | x..30                  | attribute       | 01 8006                | -                 | REF. TO SOURCE
253      | n13:check [x..17]      | key             | -                      | -                 | GDTI
254      | x..20                  | qualifier       | 414                    | -                 | GLN EXTENSION
255      | n13:check [n..12]      | key             | -                      | 01 02 415 8006 8020 8026 | GCN
30       | n..8                   | attribute       | 01 02                  | -                 | VAR. COUNT
310[0-5] | n6                     | attribute       | 01 02                  | 310n              | NET WEIGHT (kg)
311[0-5] | n6                     | attribute       | 01 02                  | 311n              | LENGTH (m)
312[0-5] | n6                     | attribute       | 01 02                  | 312n              | WIDTH (m)
313[0-5] | n6                     | attribute       | 01 02                  | 313n              | HEIGHT (m)
314[0-5] | n6                     | attribute       | 01 02                  | 314n              | AREA (m²)
315[0-5] | n6                     | attribute       | 01 02                  | 315n              | NET VOLUME (l)
316[0-5] | n6                     | attribute       | 01 02                  | 316n              | NET VOLUME (m³)
320[0-5] | n6                     | attribute       | 01 02                  | 320n              | NET WEIGHT (lb)
321[0-5] | n6                     | attribute       | 01 02                  | 321n              | LENGTH (in)
322[0-5] | n6                     | attribute       | 01 02                  | 322n              | LENGTH (ft)
323[0-5] | n6                     | attribute       | 01 02                  | 323n              | LENGTH (yd)
324[0-5] | n6                     | attribute       | 01 02                  | 324n              | WIDTH (in)
325[0-5] | n6                     | attribute       | 01 02                  | 325n              | WIDTH (ft)
326[0-5] | n6                     | attribute       | 01 02                  | 326n              | WIDTH (yd)
327[0-5] | n6                     | attribute       | 01 02                  | 327n              | HEIGHT (in)
328[0-5] | n6                     | attribute       | 01 02                  | 328n              | HEIGHT (ft)
329[0-5] | n6                     | attribute       | 01 02                  | 329n              | HEIGHT (yd)
330[0-5] | n6                     | attribute       | 00 01                  | 330n              | GROSS WEIGHT (kg)
331[0-5] | n6                     | attribute       | 00 01                  | 331n              | LENGTH (m), log
332[0-5] | n6                     | attribute       | 00 01                  | 332n              | WIDTH (m), log
333[0-5] | n6                     | attribute       | 00 01                  | 333n              | HEIGHT (m), log
334[0-5] | n6                     | attribute       | 00 01                  | 334n              | AREA (m²), log
335[0-5] | n6                     | attribute       | 00 01                  | 335n              | VOLUME (l), log
336[0-5] | n6                     | attribute       | 00 01                  | 336n              | VOLUME (m³), log
337[0-5] | n6                     | attribute       | 01                     | 337n              | KG PER m²
340[0-5] | n6                     | attribute       | 00 01                  | 340n              | GROSS WEIGHT (lb)
341[0-5] | n6                     | attribute       | 00 01                  | 341n              | LENGTH (in), log
342[0-5] | n6                     | attribute       | 00 01                  | 342n              | LENGTH (ft), log
343[0-5] | n6                     | attribute       | 00 01                  | 343n              | LENGTH (yd), log
344[0-5] | n6                     | attribute       | 00 01                  | 344n              | WIDTH (in), log
345[0-5] | n6                     | attribute       | 00 01                  | 345n              | WIDTH (ft), log
346[0-5] | n6                     | attribute       | 00 01                  | 346n              | WIDTH (yd), log
347[0-5] | n6                     | attribute       | 00 01                  | 347n              | HEIGHT (in), log
348[0-5] | n6                     | attribute       | 00 01                  | 348n              | HEIGHT (ft), log
349[0-5] | n6                     | attribute       | 00 01                  | 349n              | HEIGHT (yd), log
350[0-5] | n6                     | attribute       | 01 02                  | 350n              | AREA (in²)
351[0-5] | n6                     | attribute       | 01 02                  | 351n              | AREA (ft²)
352[0-5] | n6                     | attribute       | 01 02                  | 352n              | AREA (yd²)
353[0-5] | n6                     | attribute       | 00 01                  | 353n              | AREA (in²), log
354[0-5] | n6                     | attribute       | 00 01                  | 354n              | AREA (ft²), log
355[0-5] | n6                     | attribute       | 00 01                  | 355n              | AREA (yd²), log
356[0-5] | n6                     | attribute       | 01 02                  | 356n              | NET WEIGHT (t oz)
357[0-5] | n6                     | attribute       | 01 02                  | 357n              | NET VOLUME (oz)
360[0-5] | n6                     | attribute       | 01 02                  | 360n              | NET VOLUME (qt)
361[0-5] | n6                     | attribute       | 01 02                  | 361n              | NET VOLUME (gal.)
362[0-5] | n6                     | attribute       | 00 01                  | 362n              | VOLUME (qt), log
363[0-5] | n6                     | attribute       | 00 01                  | 363n              | VOLUME (gal.), log
364[0-5] | n6                     | attribute       | 01 02                  | 364n              | VOLUME (in³)
365[0-5] | n6                     | attribute       | 01 02                  | 365n              | VOLUME (ft³)
366[0-5] | n6                     | attribute       | 01 02                  | 366n              | VOLUME (yd³)
367[0-5] | n6                     | attribute       | 00 01                  | 367n              | VOLUME (in³), log
368[0-5] | n6                     | attribute       | 00 01                  | 368n              | VOLUME (ft³), log
369[0-5] | n6                     | attribute       | 00 01                  | 369n              | VOLUME (yd³), log
37       | n..8                   | attribute       | 00; 02 8026            | -                 | COUNT
390[0-9] | n..15                  | attribute       | 255 8020               | 390n 391n 394n 8111 | AMOUNT
391[0-9] | n3:currency n..15      | attribute       | 8020                   | 391n              | AMOUNT
392[0-9] | n..15                  | attribute       | 01; 30 31nn 32nn 35nn 36nn | 392n 393n     | PRICE
393[0-9] | n3:currency n..15      | attribute       | 30 31nn 32nn 35nn 36nn | 393n              | PRICE
394[0-3] | n4                     | attribute       | 255                    | 394n 8111         | PRCNT OFF
395[0-5] | n6                     | attribute       | 30 31nn 32nn 35nn 36nn | 392n 393n 395n 8005 | PRICE/UoM
400      | x..30                  | attribute       | -                      | -                 | ORDER NUMBER
401      | x..30:prefix           | key             | -                      | -                 | GINC
402      | n17:check              | key             | -                      | -                 | GSIN
403      | x..30                  | attribute       | 00                     | -                 | ROUTE
410      | n13:check              | attribute       | -                      | -                 | SHIP TO LOC
411      | n13:check              | attribute       | -                      | -                 | BILL TO
412      | n13:check              | attribute       | -                      | -                 | PURCHASE FROM
413      | n13:check              | attribute       | -                      | -                 | SHIP FOR LOC
414      | n13:check              | key 254/7040    | -                      | -                 | LOC No.
415      | n13:check              | key 8020        | 8020                   | -                 | PAY TO
416      | n13:check              | attribute       | -                      | -                 | PROD/SERV LOC
417      | n13:check              | key 7040        | -                      | -                 | PARTY
420      | x..20                  | attribute       | -                      | 421               | SHIP TO POST
421      | n3:country x..9        | attribute       | -                      | 4307              | SHIP TO POST
422      | n3:country             | attribute       | 01 02 8006 8026        | 426               | ORIGIN
423      | n3:country [n3:country] [n3:country] [n3:country] [n3:country] | attribute | 01 02 | 426 | INITIAL PROCESS
424      | n3:country             | attribute       | 01 02                  | 426               | PROCESS
425      | n3:country [n3:country] [n3:country] [n3:country] [n3:country] | attribute | 01 02 | 426 | DISASSEMBLY
426      | n3:country             | attribute       | 01 02                  | -                 | FULL PROCESS
427      | x..3                   | attribute       | 01 02; 422             | -                 | ORIGIN SUBDIVISION
430[01]  | x..35:percent          | attribute       | 00                     | -                 | SHIP TO COMP, NAME
4302     | x..70:percent          | attribute       | 00                     | -                 | SHIP TO ADD1
4303     | x..70:percent          | attribute       | 4302                   | -                 | SHIP TO ADD2
430[4-6] | x..70:percent          | attribute       | 00                     | -                 | SHIP TO SUB, LOC, REG
4307     | x2:letters             | attribute       | 00                     | -                 | SHIP TO COUNTRY
4308     | x..30                  | attribute       | 00                     | -                 | SHIP TO PHONE
4309     | n10:latitude n10:longitude | attribute   | 00                     | -                 | SHIP TO GEO
431[01]  | x..35:percent          | attribute       | 00                     | -                 | RTN TO COMP, NAME
4312     | x..70:percent          | attribute       | 00                     | -                 | RTN TO ADD1
4313     | x..70:percent          | attribute       | 4312                   | -                 | RTN TO ADD2
431[4-6] | x..70:percent          | attribute       | 00                     | -                 | RTN TO SUB, LOC, REG
4317     | x2:letters             | attribute       | 00                     | -                 | RTN TO COUNTRY
4318     | x..20                  | attribute       | 00                     | -                 | RTN TO POST
4319     | x..30                  | attribute       | 00                     | -                 | RTN TO PHONE
4320     | x..35:percent          | attribute       | 00                     | -                 | SRV DESCRIPTION
4321     | n1:yes_no              | attribute       | 00                     | -                 | DANGEROUS GOODS
4322     | n1:yes_no              | attribute       | 00                     | -                 | AUTH TO LEAVE
4323     | n1:yes_no              | attribute       | 00                     | -                 | SIG REQUIRED
4324     | n6:month n4:time       | attribute       | 00                     | -                 | NOT BEF DEL DT
4325     | n6:month n4:time       | attribute       | 00                     | -                 | NOT AFT DEL DT
4326     | n6:day                 | attribute       | 00                     | -                 | REL DATE
4330     | n6 [x1:hyphen]         | attribute       | 00                     | 4331              | MAX TEMP F
4331     | n6 [x1:hyphen]         | attribute       | 00                     | 4330              | MAX TEMP C
4332     | n6 [x1:hyphen]         | attribute       | 00                     | 4333              | MIN TEMP F
4333     | n6 [x1:hyphen]         | attribute       | 00                     | 4332              | MIN TEMP C
7001     | n13                    | attribute       | 01 02 8006 8026        | -                 | NSN
7002     | x..30                  | attribute       | 01 02                  | -                 | MEAT CUT
7003     | n6:day n4:time         | attribute       | 01 02                  | -                 | EXPIRY TIME
7004     | n..4                   | attribute       | 01; 10                 | -                 | ACTIVE POTENCY
7005     | x..12                  | attribute       | 01 02                  | -                 | CATCH AREA
7006     | n6:day                 | attribute       | 01 02                  | -                 | FIRST FREEZE DATE
7007     | n6:day [n6:day]        | attribute       | 01 02                  | -                 | HARVEST DATE
7008     | x..3                   | attribute       | 01 02                  | -                 | AQUATIC SPECIES
7009     | x..10                  | attribute       | 01 02                  | -                 | FISHING GEAR TYPE
7010     | x..2                   | attribute       | 01 02                  | -                 | PROD METHOD
7011     | n6:day [n4:time]       | attribute       | 01 02                  | -                 | TEST BY DATE
7020     | x..20                  | attribute       | 01 8006; 416           | -                 | REFURB LOT
7021     | x..20                  | attribute       | 01 8006                | -                 | FUNC STAT
7022     | x..20                  | attribute       | 7021                   | -                 | REV STAT
7023     | x..30:prefix           | attribute       | -                      | -                 | GIAI - ASSEMBLY
703[0-9] | n3:processor x..27     | attribute       | 01 02                  | -                 | PROCESSOR
7040     | n1 x1 x1 x1:importer   | qualifier       | -                      | -                 | UIC+EXT
7041     | x..4:package           | -               | 00                     | -                 | UFRGT UNIT TYPE
71[0-7]  | x..20                  | attribute       | 01                     | -                 | NHRN
723[0-9] | x2 x..28               | attribute       | 01 8004                | -                 | CERT
7240     | x..20                  | attribute       | 01 8006                | -                 | PROTOCOL
7241     | n2:media               | attribute       | 8017 8018              | -                 | AIDC MEDIA TYPE
7242     | x..25                  | attribute       | 8017 8018              | -                 | VCN
7250     | n8:birthday            | attribute       | 8018                   | 7251              | DOB
7251     | n8:birthday n4:time    | attribute       | 8018                   | 7250              | DOB TIME
7252     | n1:sex                 | attribute       | 8018                   | -                 | BIO SEX
7253     | x..40:percent          | attribute       | 8017 8018              | 7256 7259         | FAMILY NAME
7254     | x..40:percent          | attribute       | 8017 8018              | 7256 7259         | GIVEN NAME
7255     | x..10                  | attribute       | 8017 8018              | 7256 7259         | SUFFIX
7256     | x..90:percent          | attribute       | 8017 8018              | -                 | FULL NAME
7257     | x..70:percent          | attribute       | 8018                   | -                 | PERSON ADDR
7258     | x3:place               | attribute       | 8018+7259              | -                 | BIRTH SEQUENCE
7259     | x..40:percent          | attribute       | 8018                   | 7256              | BABY
8001     | n4:nonzero n5:nonzero n3:nonzero n1:winding n1 | attribute | 01   | -                 | DIMENSIONS
8002     | x..20                  | attribute       | -                      | -                 | CMT No.
8003     | n1:zero n13:check [x..16] | key          | -                      | -                 | GRAI
8004     | x..30:prefix           | key 7040        | -                      | -                 | GIAI
8005     | n6                     | attribute       | 01 02                  | -                 | PRICE PER UNIT
8006     | n14:check n4:piece     | key 22 10 21    | -                      | 01 37             | ITIP
8007     | x..34:iban             | attribute       | 415                    | -                 | IBAN
8008     | n6:day n2:hour [n2:minute] [n2:minute] | attribute | 01 02        | -                 | PROD TIME
8009     | x..50                  | attribute       | 00 01                  | -                 | OPTSEN
8010     | y..30:prefix           | key 8011        | -                      | -                 | CPID
8011     | n..12:no_leading_zero  | qualifier       | 8010                   | -                 | CPID SERIAL
8012     | x..20                  | attribute       | 01 8006                | -                 | VERSION
8013     | x..25:pair,prefix      | key             | -                      | -                 | GMN
8014     | x..25:pair,prefix,letter | -             | 01                     | -                 | MUDI
8017     | n18:check              | key 8019        | -                      | 8018              | GSRN - PROVIDER
8018     | n18:check              | key 8019        | -                      | 8017              | GSRN - RECIPIENT
8019     | n..10                  | qualifier       | 8017 8018              | -                 | SRIN
8020     | x..25                  | qualifier       | 415                    | -                 | REF No.
8026     | n14:check n4:piece     | attribute       | 37                     | 02 8006           | ITIP CONTENT
8030     | z..90:padding         | attribute      | 00 01+21 253 255 8003 8004 8006+21 8010+8011 8017 8018 | - | DIGSIG
804[01]  | n15                    | attribute       | -                      | -                 | IMEI, IMEI2
8042     | n32                    | attribute       | -                      | -                 | ESIM
8043     | n18 [n..2]             | attribute       | -                      | -                 | PSIM
8110     | x..70:coupon           | attribute       | -                      | -                 | -
8111     | n4                     | attribute       | 255                    | -                 | POINTS
8112     | x..70:offer            | attribute       | -                      | -                 | -
8200     | x..70                  | -               | 01                     | -                 | PRODUCT URL
90       | x..30                  | attribute       | -                      | -                 | INTERNAL
9[1-9]   | x..90                  | attribute       | -                      | -                 | INTERNAL
"""
_PREDEFINED = frozenset(f"{digits:02d}" for digits in (*range(5), *range(11, 21), *range(31, 37), 41))
"""First two digits of the AIs that need no FNC1 behind them (General Specifications, figure 7.8.5-2)."""


class Part(msgspec.Struct, frozen=True):
    """One part of an AI's data."""

    characters: str
    """'n', 'x', 'y' or 'z': see `content`."""
    least: int
    most: int
    optional: bool
    rules: tuple[str, ...]
    """Names in `content.RULES`."""


class ApplicationIdentifier(msgspec.Struct, frozen=True, kw_only=True):
    """One AI: its data, and how it stands to others."""

    ai: str
    title: str
    parts: tuple[Part, ...]
    needs: tuple[tuple[tuple[str, ...], ...], ...]
    """Demands; of each, one alternative; of that, all AIs."""
    never_with: tuple[str, ...]
    is_key: bool
    is_attribute: bool
    """May stand in the query of a Digital Link."""
    sequences: tuple[tuple[str, ...], ...]
    """Of a key: the qualifiers that may follow it in a Digital Link, by alternative and in order."""

    @property
    def predefined_length(self) -> bool:
        """Whether its data ends by itself, without a separator."""
        return self.ai[:2] in _PREDEFINED

    @property
    def least(self) -> int:
        return sum(part.least for part in self.parts if not part.optional)

    @property
    def most(self) -> int:
        return sum(part.most for part in self.parts)


def find(digits: str) -> ApplicationIdentifier | None:
    """Return the AI of exactly these digits, or None where GS1 has assigned none."""
    return AIS.get(digits)


def at_start_of(text: str) -> ApplicationIdentifier | None:
    """Return the AI that `text` begins with, or None. No AI is the beginning of another, so there is one at most."""
    return next((found for length in (2, 3, 4) if (found := AIS.get(text[:length]))), None)


def matches(pattern: str, ai: str) -> bool:
    """Return whether an AI fits a pattern of the columns `with` and `never with`, such as 01 or 31nn."""
    return len(pattern) == len(ai) and all(one in (digit, "n") for one, digit in zip(pattern, ai, strict=True))


# ── reading the table ────────────────────────────────────────────────────────────────────────────────────────────────

_PART = re.compile(r"(\[?)([nxyz])(\.\.)?(\d+)(?::([a-z_,]+))?(\]?)")
_DIGIT_RANGE = re.compile(r"\[(\d)-?(\d)\]")


def _rows() -> Iterator[tuple[str, ApplicationIdentifier]]:
    for line in _TABLE.strip().splitlines():
        pattern, content, link, needs, never_with, title = (cell.strip() for cell in line.split("|"))
        place, *sequences = link.partition(" ")[::2]
        for ai in _each(pattern):
            yield (
                ai,
                ApplicationIdentifier(
                    ai=ai,
                    title=title,
                    parts=tuple(map(_part, content.split())),
                    needs=_needs(needs),
                    never_with=tuple(_words(never_with)),
                    is_key=place == "key",
                    is_attribute=place in ("key", "attribute"),
                    sequences=tuple(tuple(sequence.split()) for sequence in sequences[0].split("/") if sequence),
                ),
            )


def _each(pattern: str) -> list[str]:
    """Return the AIs of the first column: 310[0-5] is six, 430[01] two."""
    found = _DIGIT_RANGE.search(pattern)
    if found is None:
        return [pattern]
    return [f"{pattern[: found.start()]}{digit}" for digit in range(int(found[1]), int(found[2]) + 1)]


def _part(text: str) -> Part:
    found = _PART.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no part of an AI's data; write it as n6, x..20 or [n4:time]")
    opened, characters, up_to, length, rules, _ = found.groups()
    least = 1 if up_to else int(length)
    return Part(characters, least, int(length), bool(opened), tuple(rules.split(",")) if rules else ())


def _needs(cell: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
    return tuple(tuple(tuple(one.split("+")) for one in _words(demand)) for demand in cell.split(";") if _words(demand))


def _words(cell: str) -> list[str]:
    return [] if cell.strip() == "-" else cell.split()


AIS: Mapping[str, ApplicationIdentifier] = MappingProxyType(dict(itertools.chain(_rows())))
"""All that GS1 has assigned."""
