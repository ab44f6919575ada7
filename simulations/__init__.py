"""A whole federation on one machine: data sets, runs, references, reports."""
