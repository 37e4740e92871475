"""The transparency log: entries, RFC 6962 tree, checkpoints, proofs, receipts.

`append` writes an entry in the caller's transaction; `sequencer` gives entries their index and signs checkpoints;
`proofs` reads. `tree`, `note`, `checkpoint`, `proof`, `receipt` and `trustfile` are pure and serve offline checks too.
"""
