"""OCFL 1.1 objects on a blob store: write once, inventories, read, mend, validate.

What is preserved and why is the domain's business; here are only objects, versions and files.
Source: https://ocfl.io/1.1/spec/
"""
