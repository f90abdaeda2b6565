"""How things are done; what runs when stands in `orchestration.defs`."""
