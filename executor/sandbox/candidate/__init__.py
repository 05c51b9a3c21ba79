"""What runs in a candidate's own process: restrict it, load one program (or one check), run it, write result lines.

Once a program's source runs, everything in its process belongs to it. Nothing here is therefore trusted: a candidate
can only state its own outputs, and no expected value ever gets here.
"""
