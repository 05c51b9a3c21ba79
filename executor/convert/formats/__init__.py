"""One module for each family of public code data sets, with a pure function from its row to a task row.

Every `convert_*` function takes a row as a mapping and returns a task row. It raises `SkipRow`, of which `MalformedRow`
is a kind, for a row that cannot be graded.
"""
