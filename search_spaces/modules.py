"""TVM modules of one operator as durable values: a digest, a text, a signature (imports TVM)."""
