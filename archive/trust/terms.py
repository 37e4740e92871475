"""The closed words of certificates. Source: docs/glossary.md; RFC 5280 section 5.3.1 for the reasons."""

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


class RevocationReason(StrEnum):
    """Why a certificate is revoked."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key_compromise"
    AFFILIATION_CHANGED = "affiliation_changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation_of_operation"
    PRIVILEGE_WITHDRAWN = "privilege_withdrawn"


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
