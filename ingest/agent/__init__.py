"""The dock agent: what runs at a docking station. Needs no database and no server code; the state folder is its memory.

`enrolment` makes the dock known, `push` delivers files, `delivery` takes one file from the card to its receipt, and
`wiping` deletes a file that has one.
"""
