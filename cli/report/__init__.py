"""The report of a study: from its results to one HTML page and its Markdown twin.

`evidence` says what was found, `overfitting` how far training and held-out tasks part; `findings`, `arms`, `training`,
`programs` and `provenance` turn that into sections of a `document`, with pictures from `dots`, `lines` and `stacks`
(drawn by `svg` in a `frame`); `page` and `markdown` write the document. Nothing is trained, sampled or run.
"""
