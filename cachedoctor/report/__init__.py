"""Turn values into what people and programs read; pure.

Text: `scan_text` with `scan_table`, `verify_text`, `plan_text`, `diagnosis_text`, `bench_text`,
`inventory`. Data: `record` is the JSON, `schema` its JSON Schema, `ci` the formats of continuous
integration. `bench_chart` draws.
"""
