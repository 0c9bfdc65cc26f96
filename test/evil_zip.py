"""Writes a zip file of the entries on standard input, one JSON list of name, mode and text for each line.
Whatever the entries say is written: what refuses them is under test."""

import json
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as pack:
    for line in sys.stdin:
        name, mode, text = json.loads(line)
        entry = zipfile.ZipInfo(name)
        entry.filename = name
        entry.create_system = 3
        entry.external_attr = mode << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        pack.writestr(entry, text)
