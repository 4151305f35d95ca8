"""Reading tables: files, cells with types, and the parts of a prepared table."""
