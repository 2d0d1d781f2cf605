"""Text that people write: reading TOML, where a key stands, what shape a value must have, which names are allowed."""
