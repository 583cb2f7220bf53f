"""One module per format in which tracks leave: fixes in, bytes out. Pure, in constant memory.

`table` lists them. A format is written from any number of fixes, grouped by device and oldest
first within each, so that one page of an answer and ten years of export are the same call.
"""
