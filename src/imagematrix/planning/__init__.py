"""Everything that is decided before anything is done: pure functions from what is declared and known to what to do."""
