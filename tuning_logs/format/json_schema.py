"""The JSON Schema of a log's lines, for readers in other languages; `tuning_log.schema.json` is its text."""

from __future__ import annotations

import json

import msgspec

from tuning_logs.format.line import LINE_TYPES, SCHEMA


def json_schema_text() -> str:
    """The schema that any one line of a log meets, as JSON text ending in a newline."""
    references, definitions = msgspec.json.schema_components(LINE_TYPES, ref_template="#/$defs/{name}")
    for kind in LINE_TYPES:
        # A field that may be left out is; else the defaults are for those who make lines, not for readers.
        fields, definition = definitions[kind.__name__]["properties"], definitions[kind.__name__]
        optional = {field.name for field in msgspec.structs.fields(kind) if field.default is msgspec.UNSET}
        definition["required"] = [name for name in fields if name not in optional]
        for field in fields.values():
            field.pop("default", None)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"One line of a tuning log, schema {SCHEMA}",
        "anyOf": list(references),
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2) + "\n"
