"""Convert rows of public code data sets to task rows (`atomforge convert`).

`registry` maps a format name to its converter and runs converters over rows; `formats` holds one converter a data set
family; `readers` and `hub` produce the rows. Nothing here runs a program, unpickles an object or evaluates an
expression: everything in a data set is untrusted text.
"""
