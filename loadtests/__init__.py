"""Load tests and benchmarks: see README.md beside this file. Nothing here is installed with the package."""
