"""The closed words of certificates. Source: docs/glossary.md."""

from enum import StrEnum


class KeyPurpose(StrEnum):
    """What a certificate signs: a person's records, an agency's seal, what a party wrote by hand, manifests."""

    OFFICER = "officer"
    SEAL = "seal"
    CAPTURE = "capture"
    MANIFEST = "manifest"


class KeyPlace(StrEnum):
    """Where the private key is: with its holder, who brings it each time; encrypted in a file; in a PKCS#11 token."""

    HOLDER = "holder"
    FILE = "file"
    TOKEN = "token"  # noqa: S105 - a place


class KeyAct(StrEnum):
    """What is done with a certificate in the register."""

    REGISTER = "register"
    REPLACE = "replace"
    REVOKE = "revoke"


class KeyRequestState(StrEnum):
    """Where a request for such an act stands."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"
