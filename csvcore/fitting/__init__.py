"""A fit of one task, without a database: settings, data, weights, law and result."""
