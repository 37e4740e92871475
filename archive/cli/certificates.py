"""For operators: certificates and seals. What needs a second person waits for an administrator, on the page."""

import json
import secrets
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from archive.cli.options import AsJson, Home, opened
from archive.cli.reports import small_file
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CertificateId, KeyRequestId, OfficerId, parse_uuid
from archive.kernel.instants import format_instant, parse_instant
from archive.ledger.entries import OPERATOR
from archive.ports.revocations import RevocationReason
from archive.trust.certificates import CertificateNotFound, uses_of
from archive.trust.listings import KeyState, Wanted, certificates, rotation_of, state_of
from archive.trust.models import KeyCertificate
from archive.trust.terms import KeyPurpose
from ingest.agent.printable import printable

if TYPE_CHECKING:
    from archive.documents.issuing import IssuedFile
    from archive.wiring import Services

_MOST: Final = 10_000
_Id = Annotated[str, typer.Argument(help="Id of the certificate.")]
_Out = Annotated[Path | None, typer.Option(help="Where the officer's file of keys (PKCS#12) is written.")]
_Passphrase = Annotated[
    Path | None, typer.Option(help="File with the passphrase for it; else one is made and shown once.")
]
_Label = Annotated[str | None, typer.Option(help="The key of the seal lies in the token, under this label.")]
_File = Annotated[Path | None, typer.Option("--certificate", exists=True, dir_okay=False, help="PEM or DER.")]


def register(app: typer.Typer) -> None:
    """Add the commands about certificates."""
    group = typer.Typer(help="Certificates and seals (证书与印章).", no_args_is_help=True)
    group.command("list")(list_)
    group.command("show")(show)
    group.command("issue")(issue)
    group.command("issue-seal")(issue_seal_)
    group.command("register")(register_)
    group.command("revoke")(revoke_)
    group.command("replace")(replace)
    group.command("extend-root")(extend_root)
    group.command("renew")(renew)
    app.add_typer(group, name="certificates")


def list_(
    purpose: Annotated[KeyPurpose | None, typer.Option(help="What they sign.")] = None,
    state: Annotated[KeyState | None, typer.Option(help="Where they stand; ending: within 30 days.")] = None,
    holder: Annotated[str, typer.Option(help="Part of the name or number of officer or agency.")] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List certificates, the newest first."""
    from archive.documents.holders import holder_names, holders_like

    with opened(home) as services, services.database.read() as tx:
        at = services.clock.now()
        wanted = Wanted(purpose, state, holders_like(tx, holder) if holder else None)
        rows = certificates(tx, wanted, at=at, limit=_MOST)
        names = holder_names(tx, [row.holder_id for row in rows if row.holder_id is not None])
        told = [_told(row, names.get(row.holder_id, "") if row.holder_id else "", at) for row in rows]
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    for one in told:
        print(
            f"{one['id']}  {one['purpose']:8}  {one['state']:8}  {one['place']:6}  {one['not_after'][:10]}"
            f"  {printable(one['holder'])}"
        )


def show(
    certificate_id: _Id,
    pem: Annotated[bool, typer.Option("--pem", help="Print the certificate alone, in PEM.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show a certificate: names, digests, what it signed, what came before and after it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from archive.documents.holders import holder_names
    from signing.certificate_facts import facts_of

    with opened(home) as services, services.database.read() as tx:
        row, at = _row(services, certificate_id), services.clock.now()
        if pem:
            print(x509.load_der_x509_certificate(row.certificate).public_bytes(Encoding.PEM).decode(), end="")
            return
        facts = facts_of(row.certificate, services.authority.root)
        name = holder_names(tx, [row.holder_id]).get(row.holder_id, "") if row.holder_id else ""
        told = {
            **_told(row, name, at),
            "subject": facts.subject,
            "issuer": facts.issuer,
            "sha256": facts.sha256,
            "sha1": facts.sha1,
            "key": facts.key,
            "addresses": list(facts.addresses),
            "revocation_reason": row.revocation_reason,
            "rotation": [str(each.id) for each in rotation_of(tx, row)],
            "uses": [
                {"at": format_instant(use.at), "kind": use.ref_kind, "id": str(use.ref_id)}
                for use in uses_of(tx, CertificateId(row.id), since=row.not_before)
            ],
        }
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    for label, value in told.items():
        if label == "uses":
            print(f"{'signed':18} {len(value)}")
        elif value:
            print(f"{label:18} {printable('  '.join(value) if isinstance(value, list) else str(value))}")


def issue(
    number: Annotated[str, typer.Argument(help="Number of the officer's enforcement certificate (执法证号).")],
    out: Annotated[Path, typer.Option(help="Where the file of keys (PKCS#12) is written.")],
    passphrase_file: _Passphrase = None,
    home: Home = None,
) -> None:
    """Issue a certificate to an officer; only the file that is written holds the private key."""
    from archive.documents.holders import officer_named

    with opened(home) as services:
        with services.database.read() as tx:
            officer_id = officer_named(tx, number)
        _issue(services, officer_id, out, passphrase_file, None)


def issue_seal_(
    agency: Annotated[str, typer.Argument(help="Code or name of the agency.")],
    home: Home = None,
) -> None:
    """Make the seal of an agency, whose key lies in the archive."""
    from archive.documents.holders import agency_named
    from archive.documents.issuing import issue_seal

    with opened(home) as services:
        with services.database.read() as tx:
            agency_id = agency_named(tx, agency)
        _print(services, issue_seal(services.issuer, agency_id, by=OPERATOR, at=services.clock.now()))


def register_(
    certificate: _File = None,
    officer: Annotated[str | None, typer.Option(help="It is this officer's (执法证号), from outside.")] = None,
    seal_of: Annotated[str | None, typer.Option(help="It is the seal of this agency, by code or name.")] = None,
    label: _Label = None,
    home: Home = None,
) -> None:
    """Register a certificate: of an officer from an outside authority, or of a seal whose key lies in the token."""
    from archive.documents.holders import agency_named, officer_named
    from archive.documents.issuing import register_of_officer, register_token_seal

    file = None if certificate is None else small_file(certificate)
    with opened(home) as services:
        at = services.clock.now()
        with services.database.read() as tx:
            officer_id = None if officer is None else officer_named(tx, officer)
            agency_id = None if seal_of is None else agency_named(tx, seal_of)
        if officer_id is not None and agency_id is None and file is not None:
            _print(services, register_of_officer(services.issuer, officer_id, file, by=OPERATOR, at=at))
        elif agency_id is not None and officer_id is None and label is not None:
            _print(
                services, register_token_seal(services.issuer, agency_id, label=label, file=file, by=OPERATOR, at=at)
            )
        else:
            raise InvalidInput("Name --officer with --certificate, or --seal-of with --label")


def revoke_(
    certificate_id: _Id,
    reason: Annotated[RevocationReason, typer.Option(help="Why, as the revocation list says it.")],
    words: Annotated[str, typer.Option(help="Why, in words, for the log.")],
    since: Annotated[datetime | None, typer.Option(help="Since when it is not to be believed (UTC); else now.")] = None,
    home: Home = None,
) -> None:
    """Revoke a certificate; what it signed since then is listed."""
    from archive.documents.issuing import revoke

    with opened(home) as services:
        row, at = _row(services, certificate_id), services.clock.now()
        moment = at if since is None else parse_instant(since.strftime("%Y-%m-%dT%H:%M:%SZ"))
        done = revoke(
            services.issuer, CertificateId(row.id), reason=reason, words=words, since=moment, by=OPERATOR, at=at
        )
        _print(services, done)
        with services.database.read() as tx:
            for use in uses_of(tx, CertificateId(row.id), since=moment):
                print(f"  signed with it since then: {use.ref_kind} {use.ref_id} at {use.at:%F %T}")


def replace(
    certificate_id: _Id,
    out: _Out = None,
    passphrase_file: _Passphrase = None,
    certificate: _File = None,
    label: _Label = None,
    home: Home = None,
) -> None:
    """Put another certificate in the place of one: issued here, or brought along with --certificate or --label."""
    from archive.documents.holders import agency_of_holder
    from archive.documents.issuing import issue_seal, register_of_officer, register_token_seal

    file = None if certificate is None else small_file(certificate)
    with opened(home) as services:
        row, at = _row(services, certificate_id), services.clock.now()
        of = CertificateId(row.id)
        with services.database.read() as tx:
            agency_id = None if row.holder_id is None else agency_of_holder(tx, row.holder_id)
        if row.purpose == KeyPurpose.SEAL and agency_id is not None and out is None:
            if label is not None:
                done = register_token_seal(
                    services.issuer, agency_id, label=label, file=file, of=of, by=OPERATOR, at=at
                )
            elif file is None:
                done = issue_seal(services.issuer, agency_id, of=of, by=OPERATOR, at=at)
            else:
                raise InvalidInput("The certificate of a seal comes with the --label of its key in the token")
            _print(services, done)
        elif row.purpose == KeyPurpose.OFFICER and row.holder_id is not None and label is None:
            officer_id = OfficerId(row.holder_id)
            if file is not None and out is None:
                _print(services, register_of_officer(services.issuer, officer_id, file, of=of, by=OPERATOR, at=at))
            elif out is not None and file is None:
                _issue(services, officer_id, out, passphrase_file, of)
            else:
                raise InvalidInput("Name --out for a file of keys, or --certificate for an outside certificate")
        else:
            raise InvalidInput("Seals are replaced here or with --label, officers' with --out or --certificate")


def extend_root(home: Home = None, as_json: AsJson = False) -> None:
    """Have the root of the archive last 20 more years: same name and key, so that nothing that was issued changes.

    Everybody who pins trust.txt needs it once more before the certificate before ends; processes are started anew.
    """
    from archive.wiring.log_parts import renew_trust_file
    from retention.renewals.own_keys import extend_root as extended_by

    with opened(home) as services:
        extended = extended_by(services.database, services.authority, services.clock, by=OPERATOR)
        until, folder = extended.root.not_valid_after_utc, services.settings.home
    with opened(home) as services:
        renew_trust_file(folder, services.trust)
    if as_json:
        print(json.dumps({"root_until": format_instant(until), "trust": str(folder / "trust.txt")}))
        return
    print(f"The root lasts until {until:%Y-%m-%d}. Publish {folder / 'trust.txt'} again, and start the archive anew.")


def renew(home: Home = None) -> None:
    """Renew now what is due: keys of the archive, signatures over manifests, timestamps of records."""
    with opened(home) as services:
        count = services.evidence.renew_due(by=OPERATOR) + services.renewals.renew_due()
        with services.database.read() as tx:
            left = services.renewal_listing.faults(tx)
    for fault in left:
        print(f"not renewed: {fault.kind} {fault.ref} [{fault.code}], since {fault.since:%Y-%m-%d}")
    print(f"{count} renewed, {len(left)} could not be")
    raise typer.Exit(1 if left else 0)


def _issue(
    services: "Services", officer_id: OfficerId, out: Path, passphrase_file: Path | None, of: CertificateId | None
) -> None:
    from archive.documents.issuing import issue_to_officer
    from signing.keyfiles import PRIVATE, write_once

    if out.exists():
        raise InvalidInput("There is a file of this name already; it was not touched", file=str(out))
    given = None if passphrase_file is None else passphrase_file.read_text("utf-8").strip()
    passphrase = given or secrets.token_urlsafe(15)
    made: IssuedFile = issue_to_officer(
        services.issuer, officer_id, passphrase=passphrase, of=of, by=OPERATOR, at=services.clock.now()
    )
    write_once(out, made.pkcs12, mode=PRIVATE)
    _print(services, made.outcome)
    print(f"The file of keys is {out}; nobody else has the private key.")
    if given is None:
        print(f"Passphrase (shown once): {passphrase}")


def _row(services: "Services", text: str) -> KeyCertificate:
    certificate_id = parse_uuid(text)
    with services.database.read() as tx:
        row = tx.get(KeyCertificate, certificate_id)
    if row is None:
        raise CertificateNotFound(certificate_id=certificate_id)
    return row


def _told(row: KeyCertificate, holder: str, at: datetime) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "purpose": row.purpose,
        "holder": holder,
        "serial": row.serial,
        "not_before": format_instant(row.not_before),
        "not_after": format_instant(row.not_after),
        "place": row.place,
        "handle": row.handle,
        "state": state_of(row, at=at).value,
        "revoked_at": None if row.revoked_at is None else format_instant(row.revoked_at),
    }


def _print(services: "Services", done: CertificateId | KeyRequestId) -> None:
    from archive.documents.issuing import is_waiting

    with services.database.read() as tx:
        waits = is_waiting(tx, done)
    print(f"Request {done} waits for an administrator, on the page /certificates." if waits else f"Certificate {done}")
