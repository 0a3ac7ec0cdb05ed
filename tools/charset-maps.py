#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes dist/koi-utf, dist/koi-win and dist/win-utf: charset_map blocks from the tables of Python's codecs.

Usage: tools/charset-maps.py FOLDER

KOI8-U is KOI8-R with the Ukrainian letters in the places of box drawings; pages in either are read by it.
"""
import sys
import unicodedata

MAPS = [
    ("koi-utf", "koi8-r", "koi8_u", "utf-8", "utf-8"),
    ("koi-win", "koi8-r", "koi8_u", "windows-1251", "cp1251"),
    ("win-utf", "windows-1251", "cp1251", "utf-8", "utf-8"),
]


def write_map(path, name_from, codec_from, name_to, codec_to):
    """One file: a line for each byte of the upper half that both sets have."""
    with open(path, "w", encoding="ascii") as out:
        out.write(f"# {name_from} and {name_to}, for charset and source_charset; made by tools/charset-maps.py.\n\n")
        out.write(f"charset_map {name_from} {name_to} {{\n")
        for byte in range(0x80, 0x100):
            try:
                char = bytes([byte]).decode(codec_from)
                to = char.encode(codec_to)
            except UnicodeError:
                continue
            name = unicodedata.name(char, f"U+{ord(char):04X}").lower()
            out.write(f"    {byte:02X} {to.hex().upper():<6} ; # {name}\n")
        out.write("}\n")


def main(argv):
    if len(argv) != 2:
        raise SystemExit(__doc__)
    for name, *what in MAPS:
        write_map(f"{argv[1]}/{name}", *what)


if __name__ == "__main__":
    main(sys.argv)
