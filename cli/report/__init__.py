"""The report of a study, from its results to one HTML page and a Markdown file.

`evidence` computes intervals and verdicts. `hypotheses`, `scores`, `training`, `programs` and `provenance` make
sections of a `document` from them, with `plots`. Nothing is trained, sampled or run.
"""
