"""One compiled kernel in the process that runs it: inputs, guards, output check, timing."""
