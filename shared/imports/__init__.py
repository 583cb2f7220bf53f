"""Imports: files, folders and archives of any size become records, as a job of the engine.

`importing` is the work, `places` how far it is; `inputs` opens what is imported, `manifest`
remembers what was found in it, `recognising` chooses the source of each file. `beginning` begins
one, `uploads` that of a file which somebody sends.
"""
