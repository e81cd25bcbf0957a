"""Plain-loop versions of the package's formulas, one module each."""
