"""Commands that regenerate every figure in the README."""
