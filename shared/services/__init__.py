"""Services that are asked on a schedule: mail, contacts, calendars of others.

`protocol` is what a collector's run knows of them; each service is one module. What a service sends
is read by the sources, which know nothing of networks.
"""
