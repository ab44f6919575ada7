"""The `sottovoce` command: one short module per verb, and the only folder that imports every side."""
