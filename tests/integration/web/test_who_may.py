"""Every page against every role. Default deny: a page without a row in the table fails, and so does one unguarded."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from archive.access.classes import RestrictedClass
from archive.access.policy import Role
from archive.documents.template_register import shipped_versions
from archive.evidence.recordings import recording_of
from archive.kernel.ids import RecordingId
from archive.organisation.models import FIRST_AGENCY
from archive.web.api.v1.guards import presented_integration
from archive.web.app import create_app
from archive.web.dependencies import required_caller
from tests.integration.web.conftest import signed_in_at, small_scene
from tests.support import seed
from tests.support.seed import PEOPLE, Bureau

# What anybody may ask without a session: to sign in, for the other language, and the doors of machines.
_PUBLIC = {
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/sign-in/code"),
    ("POST", "/sign-in/code"),
    ("POST", "/sign-in/passkey"),
    ("GET", "/sign-in/provider"),
    ("GET", "/sign-in/provider/back"),
    ("GET", "/recovery"),
    ("POST", "/recovery"),
    ("POST", "/language"),
    ("POST", "/api/v1/docks/enrolment"),
    ("POST", "/api/v1/docks/key"),
    # Of docks, by the keys of docks: tests/integration/stores/test_direct.py.
    ("POST", "/api/v1/direct-uploads"),
    ("GET", "/api/v1/direct-uploads/{upload_id}"),
    ("POST", "/api/v1/direct-uploads/{upload_id}/parts"),
    ("POST", "/api/v1/direct-uploads/{upload_id}/completion"),
    ("POST", "/api/v1/docks/waiting"),
    ("GET", "/api/v1/docks/waiting"),
    ("GET", "/metrics"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/api/v1/time"),
    ("GET", "/api/v1/health"),
    ("GET", "/api/v1/ca.pem"),
    ("GET", "/pki/root.pem"),
    ("GET", "/pki/root.cer"),
    ("GET", "/pki/root.crl"),
    ("POST", "/pki/ocsp"),
    ("GET", "/pki/ocsp/{asked:path}"),
    ("GET", "/log/checkpoint"),
    ("GET", "/log/tile/{level}/{number:path}"),
    ("GET", "/log/anchors/{name}"),
    ("GET", "/api/v1/log/proof/{index}"),
    ("GET", "/api/v1/log/consistency"),
}


_EVERYBODY = frozenset(Role)
_READERS = frozenset(Role) - {Role.ADMINISTRATOR, Role.OPERATOR}
_FILERS = frozenset({Role.CASE_HANDLER, Role.UNIT_HEAD, Role.SUPERVISOR})
_UPLOADERS = _FILERS | {Role.OFFICER}
_VIEWERS = _UPLOADERS | {Role.LEGAL_REVIEWER}
_HEADS = frozenset({Role.UNIT_HEAD})
_EXPORTERS = frozenset({Role.UNIT_HEAD, Role.SUPERVISOR})
_OPERATORS = frozenset({Role.ADMINISTRATOR, Role.OPERATOR})
_PROVERS = _OPERATORS | {Role.SUPERVISOR, Role.AUDITOR, Role.RECORDS_MANAGER}
_AUDITORS = frozenset({Role.AUDITOR})
_TRACERS = frozenset({Role.UNIT_HEAD, Role.SUPERVISOR, Role.AUDITOR})
_ADMINS = frozenset({Role.ADMINISTRATOR})
_TEMPLATE_READERS = _FILERS | _ADMINS
_RENEWAL_READERS = _OPERATORS | _EXPORTERS | {Role.AUDITOR, Role.RECORDS_MANAGER, Role.LEGAL_REVIEWER}


@dataclass(frozen=True)
class Row:
    """One address: who may ask there, what these people get for what is in their unit, and what all others get.

    An empty form is refused with 422 where the role may post it at all. `officer` is what an officer gets who had
    nothing to do with the thing; its own footage is tried in tests/integration/access/test_sight.py.
    """

    method: str
    route: str
    who: frozenset[Role]
    status: int
    others: int
    officer: int | None = None

    def expected(self, role: Role) -> int:
        if role is Role.OFFICER and self.officer is not None:
            return self.officer
        return self.status if role in self.who else self.others


_GET, _POST, _HEAD = "GET", "POST", "HEAD"
_TABLE = [
    #                       who may, what they get, and what all others get
    Row(_GET, "/", _READERS, 200, 303),
    Row(_GET, "/unlinked", _READERS, 200, 403),
    Row(_GET, "/unlinked/acts", _FILERS, 200, 403),
    Row(_POST, "/unlinked/links", _FILERS, 422, 403),
    Row(_GET, "/items", _READERS, 200, 403),
    Row(_GET, "/search", _READERS, 200, 403),
    Row(_POST, "/search/lists", _EXPORTERS, 400, 403),
    Row(_POST, "/cases", _FILERS, 422, 403),
    Row(_GET, "/cases/{case_id}", _READERS, 200, 404, officer=404),
    Row(_GET, "/cases/{case_id}/footage", _READERS, 200, 404, officer=404),
    Row(_POST, "/cases/{case_id}/acts", _FILERS, 422, 403),
    Row(_POST, "/cases/{case_id}/links", _FILERS, 422, 403),
    Row(_POST, "/cases/{case_id}/removals", _FILERS, 422, 403),
    Row(_POST, "/cases/{case_id}/records", _FILERS, 422, 403),
    Row(_GET, "/cases/{case_id}/file", _READERS, 200, 404, officer=404),
    Row(_POST, "/cases/{case_id}/file/case", _FILERS, 422, 403),
    Row(_POST, "/cases/{case_id}/file/places", _FILERS, 422, 403),
    Row(_POST, "/cases/{case_id}/file/openings", _FILERS, 422, 403),
    Row(_POST, "/cases/{case_id}/file/volumes", _FILERS, 422, 403),
    Row(_GET, "/cases/{case_id}/file/volumes/{volume_id}/{name}", _READERS, 404, 404),
    Row(_POST, "/cases/{case_id}/file/volumes/{volume_id}/checks", _READERS, 404, 403),
    Row(_GET, "/ledger", _READERS, 200, 403),
    Row(_POST, "/ledger/lists", _EXPORTERS, 200, 403),
    Row(_GET, "/items/{object_id}", _READERS, 200, 404, officer=404),
    Row(_GET, "/items/{object_id}/stage", _READERS, 200, 404, officer=404),
    Row(_POST, "/items/{object_id}/play", _VIEWERS, 422, 403, officer=404),
    Row(_POST, "/items/{object_id}/export", _EXPORTERS, 422, 403, officer=404),
    Row(_POST, "/items/{object_id}/links", _FILERS, 422, 403),
    Row(_GET, "/items/{object_id}/receipts/{upload_id}", _READERS, 404, 403),
    Row(_GET, "/recordings/{recording_id}", _READERS, 200, 404, officer=404),
    Row(_POST, "/recordings/{recording_id}/play", _VIEWERS, 422, 403, officer=404),
    Row(_GET, "/records/{record_id}", _READERS, 200, 404, officer=404),
    Row(_POST, "/records/{record_id}/open", _VIEWERS, 422, 403, officer=404),
    Row(_POST, "/records/{record_id}/export", _EXPORTERS, 422, 403, officer=404),
    Row(_POST, "/records/{record_id}/print", _EXPORTERS, 422, 403, officer=404),
    Row(_POST, "/objects/{object_id}/requests", _VIEWERS, 422, 403, officer=404),
    Row(_POST, "/objects/{object_id}/emergency", _FILERS, 422, 403),
    Row(_GET, "/retrievals", _VIEWERS, 200, 403),
    Row(_POST, "/retrievals/{request_id}/decision", _HEADS, 422, 403),
    Row(_POST, "/retrievals/{request_id}/withdrawal", _VIEWERS, 404, 403),
    Row(_POST, "/retrievals/{request_id}/end", _HEADS, 422, 403),
    Row(_GET, "/trace", _EVERYBODY, 200, 200),
    Row(_POST, "/trace/lists", _EVERYBODY, 200, 200),
    Row(_POST, "/trace/{entry_id}/check", _TRACERS, 422, 403),
    Row(_GET, "/objects/{object_id}/trail", _READERS, 200, 404, officer=404),
    Row(_GET, "/objects/{object_id}/entries/{entry_id}/proof", _READERS, 404, 404),
    Row(_GET, "/objects/{object_id}/entries/{entry_id}/body", _READERS, 404, 404),
    Row(_POST, "/objects/{object_id}/verification", _READERS, 200, 403, officer=404),
    Row(_GET, "/content/{grant_id}/playable", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/playable", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/poster", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/poster", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/sprite", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/peaks", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/sprite", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/peaks", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/pages/{number}", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/pages/{number}", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/entries", _VIEWERS, 404, 403),
    Row(_GET, "/items/{object_id}/progress", _READERS, 200, 404, officer=404),
    Row(_GET, "/items/{object_id}/versions", _VIEWERS, 200, 403, officer=404),
    Row(_POST, "/items/{object_id}/versions", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/live.m3u8", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/live.m3u8", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/live/{name}", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/live/{name}", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/master.m3u8", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/master.m3u8", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/proxy-{lines}.m3u8", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/proxy-{lines}.m3u8", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/proxy-{lines}.mp4", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/proxy-{lines}.mp4", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/document", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/document", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/print", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/print", _VIEWERS, 404, 403),
    Row(_GET, "/content/{grant_id}/original", _VIEWERS, 404, 403),
    Row(_HEAD, "/content/{grant_id}/original", _VIEWERS, 404, 403),
    Row(_POST, "/content/{grant_id}/renewal", _VIEWERS, 404, 403),
    Row(_POST, "/cases/{case_id}/classes", _FILERS, 422, 403),
    Row(_POST, "/cases/{case_id}/members", _HEADS, 422, 403),
    Row(_POST, "/cases/{case_id}/members/{account_id}/removal", _HEADS, 404, 403),
    Row(_POST, "/cases/{case_id}/unit", _EXPORTERS, 422, 403),
    Row(_POST, "/objects/{object_id}/classes", _FILERS, 303, 403),
    Row(_POST, "/cases/{case_id}/changes", _FILERS, 422, 403),
    Row(_POST, "/cases/{case_id}/acts/{act_id}/changes", _FILERS, 422, 403),
    Row(_GET, "/subjects", _READERS, 200, 403),
    Row(_POST, "/subjects/search", _READERS, 422, 403),
    Row(_POST, "/subjects/choices", _FILERS, 200, 403),
    Row(_GET, "/subjects/{subject_id}", _READERS, 200, 404, officer=404),
    Row(_POST, "/subjects/{subject_id}/changes", _FILERS, 422, 403),
    Row(_POST, "/subjects/{subject_id}/identifiers", _FILERS, 422, 403),
    Row(_POST, "/subjects/{subject_id}/identifiers/{identifier_id}/sight", _FILERS, 422, 403),
    Row(_POST, "/subjects/{subject_id}/identifiers/{identifier_id}/removal", _FILERS, 422, 403),
    Row(_POST, "/subjects/{subject_id}/comparison", _FILERS, 422, 403),
    Row(_GET, "/subjects/{subject_id}/merge", _FILERS, 404, 403),
    Row(_POST, "/subjects/{subject_id}/merges", _FILERS, 422, 403),
    Row(_POST, "/subjects/{subject_id}/separations", _FILERS, 422, 403),
    Row(_GET, "/admin", _OPERATORS, 200, 403),
    Row(_POST, "/admin/invitations", _ADMINS, 422, 403),
    Row(_POST, "/admin/docks/{dock_id}/revocation", _ADMINS, 404, 403),
    Row(_GET, "/admin/docks/{dock_id}", _OPERATORS, 404, 403),
    Row(_POST, "/admin/docks/{dock_id}/limits", _ADMINS, 404, 403),
    Row(_GET, "/admin/capacity", _OPERATORS, 200, 403),
    Row(_GET, "/waiting", _EXPORTERS, 200, 403),
    Row(_POST, "/waiting/{waiting_id}/wish", _EXPORTERS, 404, 403),
    Row(_POST, "/admin/jobs/{job_id}/retry", _OPERATORS, 409, 403),
    Row(_GET, "/admin/organisation", _ADMINS, 200, 403),
    Row(_POST, "/admin/organisation/agencies", _ADMINS, 422, 403),
    Row(_POST, "/admin/organisation/agencies/{agency_id}", _ADMINS, 422, 403),
    Row(_POST, "/admin/organisation/units", _ADMINS, 422, 403),
    Row(_POST, "/admin/organisation/units/{unit_id}", _ADMINS, 422, 403),
    Row(_POST, "/admin/organisation/units/{unit_id}/closing", _ADMINS, 404, 403),
    Row(_POST, "/admin/organisation/supervision", _ADMINS, 422, 403),
    Row(_POST, "/admin/organisation/supervision/{supervision_id}/end", _ADMINS, 404, 403),
    Row(_GET, "/admin/officers", _ADMINS, 200, 403),
    Row(_POST, "/admin/officers", _ADMINS, 422, 403),
    Row(_GET, "/admin/officers/{officer_id}", _ADMINS, 404, 403),
    Row(_POST, "/admin/officers/{officer_id}/changes", _ADMINS, 404, 403),
    Row(_POST, "/admin/officers/{officer_id}/suspension", _ADMINS, 404, 403),
    Row(_POST, "/admin/officers/{officer_id}/reinstatement", _ADMINS, 404, 403),
    Row(_GET, "/admin/officers/{officer_id}/photo", _ADMINS, 404, 403),
    Row(_POST, "/admin/officers/{officer_id}/photo", _ADMINS, 404, 403),
    Row(_POST, "/admin/officers/{officer_id}/photo/removal", _ADMINS, 404, 403),
    Row(_POST, "/admin/officers/{officer_id}/records", _ADMINS, 404, 403),
    Row(_POST, "/admin/officers/{officer_id}/records/{training_id}/withdrawal", _ADMINS, 404, 403),
    Row(_GET, "/admin/officers/sheets", _ADMINS, 200, 403),
    Row(_GET, "/admin/officers/sheets/{what}.{ending}", _ADMINS, 400, 403),
    Row(_POST, "/admin/officers/sheets", _ADMINS, 422, 403),
    Row(_GET, "/admin/legal-staff", _ADMINS, 200, 403),
    Row(_POST, "/admin/legal-staff", _ADMINS, 422, 403),
    Row(_GET, "/admin/legal-staff/{staff_id}", _ADMINS, 404, 403),
    Row(_POST, "/admin/legal-staff/{staff_id}/changes", _ADMINS, 404, 403),
    Row(_POST, "/admin/legal-staff/{staff_id}/end", _ADMINS, 404, 403),
    Row(_GET, "/templates", _TEMPLATE_READERS, 200, 403),
    Row(_GET, "/templates/new", _ADMINS, 200, 403),
    Row(_POST, "/templates/new", _ADMINS, 422, 403),
    Row(_POST, "/templates/preview", _ADMINS, 422, 403),
    Row(_GET, "/templates/{template_id}", _TEMPLATE_READERS, 200, 403),
    Row(_GET, "/templates/{template_id}/pages", _TEMPLATE_READERS, 200, 403),
    Row(_GET, "/templates/{template_id}/template.toml", _TEMPLATE_READERS, 200, 403),
    Row(_GET, "/templates/{template_id}/example.pdf", _TEMPLATE_READERS, 200, 403),
    Row(_POST, "/templates/{template_id}/text", _ADMINS, 422, 403),
    Row(_POST, "/templates/{template_id}/force", _ADMINS, 422, 403),
    Row(_POST, "/templates/{template_id}/filing", _ADMINS, 422, 403),
    Row(_POST, "/templates/{template_id}/withdrawal", _ADMINS, 422, 403),
    Row(_GET, "/admin/systems", _ADMINS, 200, 403),
    Row(_POST, "/admin/systems/keys", _ADMINS, 422, 403),
    Row(_POST, "/admin/systems/keys/{prefix}/revocation", _ADMINS, 404, 403),
    Row(_POST, "/admin/systems/webhooks", _ADMINS, 422, 403),
    Row(_POST, "/admin/systems/webhooks/{webhook_id}/secret", _ADMINS, 404, 403),
    Row(_POST, "/admin/systems/webhooks/{webhook_id}/removal", _ADMINS, 404, 403),
    Row(_POST, "/admin/systems/webhooks/{webhook_id}/replay", _ADMINS, 422, 403),
    Row(_GET, "/renewals", _RENEWAL_READERS, 200, 403),
    Row(_GET, "/validation", _EVERYBODY, 200, 200),
    Row(_POST, "/validation", _EVERYBODY, 422, 422),
    Row(_GET, "/validation/code", _EVERYBODY, 200, 200),
    Row(_GET, "/validation/{judgement_id}", _EVERYBODY, 404, 404),
    Row(_POST, "/validation/{judgement_id}/report", _EVERYBODY, 404, 404),
    Row(_POST, "/objects/{object_id}/signatures", _READERS, 400, 403, officer=404),
    Row(_GET, "/admin/trust", _OPERATORS, 200, 403),
    Row(_GET, "/upload", _UPLOADERS, 200, 403),
    Row(_GET, "/upload/sent", _UPLOADERS, 200, 403),
    Row(_GET, "/upload/cases", _UPLOADERS, 200, 403),
    Row(_GET, "/log", _AUDITORS, 200, 403),
    Row(_GET, "/log/health", _PROVERS, 200, 403),
    Row(_GET, "/log/trust.txt", _PROVERS, 200, 403),
    Row(_GET, "/log/policy.txt", _PROVERS, 200, 403),
    Row(_GET, "/api/v1/log/health", _PROVERS, 200, 403),
    Row(_GET, "/log/tile/entries/{number:path}", _AUDITORS, 404, 403),
    Row(_GET, "/objects/{object_id}/proofs", _READERS, 200, 404, officer=404),
    Row(_GET, "/objects/{object_id}/entries", _READERS, 200, 404, officer=404),
    Row(_GET, "/objects/{object_id}/signed/{name}", _READERS, 404, 404),
    Row(_GET, "/cases/{case_id}/proofs", _READERS, 200, 404, officer=404),
    Row(_GET, "/cases/{case_id}/proofs.json", _READERS, 200, 404, officer=404),
    Row(_GET, "/log/proofs/{index}", _READERS, 400, 404),
    Row(_GET, "/log/entries/{index}", _AUDITORS, 400, 403),
    Row(_GET, "/cases/{case_id}/packages", _READERS, 200, 404, officer=404),
    Row(_POST, "/cases/{case_id}/packages", _EXPORTERS, 422, 403),
    Row(_POST, "/packages/{package_id}/downloads", _EXPORTERS, 404, 403),
    Row(_GET, "/packages/{package_id}/downloads/{download_id}", _EXPORTERS, 404, 403),
    Row(_HEAD, "/packages/{package_id}/downloads/{download_id}", _EXPORTERS, 404, 403),
    Row(_POST, "/api/v1/cases/{number:path}/packages", _EXPORTERS, 422, 403),
    Row(_GET, "/api/v1/packages/{package_id}", _EXPORTERS, 404, 403),
    Row(_POST, "/api/v1/packages/{package_id}/downloads", _EXPORTERS, 404, 403),
    Row(_GET, "/api/v1/packages/{package_id}/downloads/{download_id}", _EXPORTERS, 404, 403),
    Row(_POST, "/admin/systems/{name}/unit", _ADMINS, 422, 403),
    Row(_GET, "/admin/accounts", _ADMINS, 200, 403),
    Row(_POST, "/admin/accounts", _ADMINS, 422, 403),
    Row(_GET, "/admin/accounts/{account_id}", _ADMINS, 404, 403),
    Row(_POST, "/admin/accounts/{account_id}/changes", _ADMINS, 404, 403),
    Row(_POST, "/admin/accounts/{account_id}/sessions/removals", _ADMINS, 404, 403),
    Row(_POST, "/admin/accounts/{account_id}/recoveries", _ADMINS, 404, 403),
    Row(_POST, "/admin/accounts/{account_id}/recoveries/{recovery_id}/confirmation", _ADMINS, 404, 403),
    Row(_POST, "/admin/accounts/{account_id}/recoveries/{recovery_id}/withdrawal", _ADMINS, 404, 403),
    Row(_POST, "/admin/accounts/{account_id}/clearances", _ADMINS, 404, 403),
    Row(_POST, "/admin/accounts/{account_id}/clearances/{clearance_id}/end", _ADMINS, 404, 403),
    Row(_GET, "/certificates", _ADMINS, 200, 403),
    Row(_POST, "/certificates/officers", _ADMINS, 422, 403),
    Row(_POST, "/certificates/outside", _ADMINS, 422, 403),
    Row(_POST, "/certificates/seals", _ADMINS, 422, 403),
    Row(_POST, "/certificates/token-seals", _ADMINS, 422, 403),
    Row(_GET, "/certificates/seals/{agency_id}/picture", _ADMINS, 404, 403),
    Row(_POST, "/certificates/requests/{key_request_id}/decision", _ADMINS, 422, 403),
    # Whose it is sees it too: tests/integration/web/test_certificates.py.
    Row(_GET, "/certificates/{certificate_id}", _EVERYBODY, 404, 404),
    Row(_GET, "/certificates/{certificate_id}/certificate.pem", _EVERYBODY, 404, 404),
    Row(_POST, "/certificates/{certificate_id}/revocation", _ADMINS, 404, 403),
    Row(_POST, "/certificates/{certificate_id}/replacement", _ADMINS, 404, 403),
    Row(_POST, "/certificates/{certificate_id}/replacement/file", _ADMINS, 404, 403),
    # For officers; nobody of the table is one.
    Row(_GET, "/account/certificates", _EVERYBODY, 404, 404),
    Row(_POST, "/account/certificates", _EVERYBODY, 404, 404),
    Row(_POST, "/account/certificates/outside", _EVERYBODY, 404, 404),
    Row(_GET, "/terms", _EVERYBODY, 404, 404),
    Row(_POST, "/terms/acceptance", _EVERYBODY, 404, 404),
    Row(_GET, "/account", _EVERYBODY, 200, 200),
    Row(_POST, "/account/sessions/{session_id}/removal", _EVERYBODY, 404, 404),
    Row(_POST, "/account/sessions/removals", _EVERYBODY, 303, 303),
    Row(_POST, "/account/password", _EVERYBODY, 422, 422),
    Row(_POST, "/account/second-factor/offers", _EVERYBODY, 422, 422),
    Row(_POST, "/account/second-factor", _EVERYBODY, 422, 422),
    Row(_POST, "/account/second-factor/removal", _EVERYBODY, 422, 422),
    Row(_POST, "/account/second-factor/codes", _EVERYBODY, 422, 422),
    Row(_POST, "/account/passkeys/offers", _EVERYBODY, 422, 422),
    Row(_POST, "/account/passkeys", _EVERYBODY, 422, 422),
    Row(_POST, "/account/passkeys/{passkey_id}/removal", _EVERYBODY, 422, 422),
    Row(_GET, "/notices", _EVERYBODY, 200, 200),
    Row(_GET, "/notices/{notice_id}", _EVERYBODY, 404, 404),
    Row(_POST, "/notices/{notice_id}/read", _EVERYBODY, 404, 404),
    Row(_POST, "/notices/read", _EVERYBODY, 303, 303),
    Row(_POST, "/account/mail", _EVERYBODY, 422, 422),
    Row(_POST, "/account/mail/code", _EVERYBODY, 422, 422),
    Row(_POST, "/account/mail/removal", _EVERYBODY, 404, 404),
    Row(_GET, "/account/notices", _EVERYBODY, 200, 200),
    Row(_POST, "/account/notices", _EVERYBODY, 303, 303),
    Row(_GET, "/complaints", _EXPORTERS, 200, 403),
    Row(_POST, "/complaints", _EXPORTERS, 422, 403),
    Row(_POST, "/complaints/lists", _EXPORTERS, 200, 403),
    Row(_GET, "/complaints/{complaint_id}", _EVERYBODY, 404, 404),
    Row(_POST, "/complaints/{complaint_id}/steps", _EXPORTERS, 404, 403),
    Row(_POST, "/complaints/{complaint_id}/responsible", _EXPORTERS, 404, 403),
    Row(_POST, "/complaints/{complaint_id}/unit", _EXPORTERS, 404, 403),
    Row(_POST, "/complaints/{complaint_id}/links", _EXPORTERS, 404, 403),
    Row(_POST, "/complaints/{complaint_id}/removals", _EXPORTERS, 404, 403),
    Row(_POST, "/complaints/{complaint_id}/sight", _EXPORTERS, 404, 403),
    Row(_GET, "/cases/{case_id}/drafts/new", _UPLOADERS, 200, 404, officer=404),
    Row(_POST, "/cases/{case_id}/drafts", _UPLOADERS, 422, 404, officer=404),
    Row(_GET, "/drafts/{draft_id}", _VIEWERS, 200, 404, officer=404),
    Row(_POST, "/drafts/{draft_id}", _UPLOADERS, 422, 404, officer=404),
    Row(_POST, "/drafts/{draft_id}/set", _UPLOADERS, 422, 404, officer=404),
    Row(_POST, "/drafts/{draft_id}/drop", _UPLOADERS, 422, 404, officer=404),
    Row(_GET, "/drafts/{draft_id}/preview/{number}", _VIEWERS, 404, 404),
    Row(_POST, "/drafts/{draft_id}/signatures/{place}", _UPLOADERS, 422, 404, officer=404),
    Row(_POST, "/drafts/{draft_id}/hands/{place}", _UPLOADERS, 422, 404, officer=404),
    Row(_POST, "/drafts/{draft_id}/refusals/{place}", _UPLOADERS, 422, 404, officer=404),
    Row(_POST, "/drafts/{draft_id}/seals/{place}", _EXPORTERS, 422, 404),
    Row(_GET, "/drafts/{draft_id}/pages/{number}", _VIEWERS, 404, 404),
    Row(_GET, "/drafts/{draft_id}/record.pdf", _UPLOADERS, 404, 404),
    Row(_GET, "/seals", _EXPORTERS, 200, 403),
    Row(_POST, "/seals", _EXPORTERS, 422, 403),
    Row(_GET, "/devices", _FILERS, 200, 403),
    Row(_POST, "/devices", _FILERS, 422, 403),
    Row(_POST, "/devices/lists", _FILERS, 422, 403),
    Row(_GET, "/devices/{device_id}", _EVERYBODY, 404, 404),
    Row(_POST, "/devices/{device_id}/changes", _FILERS, 404, 403),
    Row(_POST, "/devices/{device_id}/handovers", _FILERS, 404, 403),
]
# Signing out has no row: it would end the session that the other rows use. test_sign_in tries it.
# The door for browsers takes JSON and answers machines: tests/integration/ingest/test_browser_door.py.
_ELSEWHERE = {("POST", "/sign-out"), ("POST", "/api/v1/door/manifests")}


def _recording_id(bureau: Bureau) -> RecordingId:
    with bureau.services.database.read() as tx:
        view = recording_of(tx, bureau.items["video"])
    assert view is not None
    return RecordingId(view.recording.id)


def _named(bureau: Bureau) -> dict[str, UUID]:
    return {
        "case_id": bureau.cases["main"],
        "object_id": bureau.items["video"],
        "record_id": bureau.records["inspection"],
        "subject_id": bureau.subjects["main"],
        "recording_id": _recording_id(bureau),
        "draft_id": bureau.records["draft"],
        "template_id": shipped_versions()[0].id,
    }


def _ask(client: httpx.Client, row: Row, named: Mapping[str, UUID], **headers: str) -> httpx.Response:
    address = re.sub(r"\{(\w+)(?::path)?\}", lambda match: str(named.get(match[1], uuid4())), row.route)
    form = {"data": {"nothing": ""}} if row.method == "POST" and not address.endswith("/records") else {}
    if row.route.endswith("/{case_id}/records"):
        form = {"files": {"nothing": ("", b"")}}
    return client.request(row.method, address, headers=headers, **form)


def _page_routes(app: FastAPI) -> Iterator[tuple[str, str, RouteContext]]:
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            for method in route.methods or ():
                yield method, str(route.path), route


def _same_place(route: str) -> str:
    return route.replace("{record_id}", "{object_id}")


def _is_for_systems(route: RouteContext) -> bool:
    """Whether a key is asked for, and no session; tests/integration/api tries each scope at each of these."""
    return presented_integration in set(_calls(route.dependant))


def test_the_table_has_a_row_for_every_page(app: FastAPI) -> None:
    pages = {(method, path) for method, path, route in _page_routes(app) if not _is_for_systems(route)}
    rows = {(row.method, _same_place(row.route)) for row in _TABLE}
    assert pages - rows - _PUBLIC - _ELSEWHERE == set()
    assert rows - pages == set()


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


def test_every_page_but_the_public_ones_asks_who_is_calling(app: FastAPI) -> None:
    unguarded = {
        (method, path)
        for method, path, route in _page_routes(app)
        if set(_calls(route.dependant)).isdisjoint({required_caller, presented_integration})
    }
    assert unguarded == _PUBLIC


def test_nothing_else_is_mounted_than_static_files(app: FastAPI) -> None:
    others = {route.path for route in iter_route_contexts(app.routes) if not isinstance(route.original_route, APIRoute)}
    assert others == {"/static", "/api/v1/openapi.json"}


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
@pytest.mark.parametrize("row", _TABLE, ids=lambda row: f"{row.method} {row.route}")
def test_each_role_gets_what_the_table_says(
    browsers: dict[Role | None, httpx.Client], bureau: Bureau, row: Row, role: Role
) -> None:
    answer = _ask(browsers[role], row, _named(bureau))
    assert answer.status_code == row.expected(role), answer.text[:500]
    assert answer.headers["cache-control"] in {"no-store", "private, no-store"}


@pytest.mark.parametrize("row", _TABLE, ids=lambda row: f"{row.method} {row.route}")
def test_without_a_session_there_is_only_the_sign_in_page(anybody: httpx.Client, bureau: Bureau, row: Row) -> None:
    if not row.route.startswith("/api/"):  # programs are not led to a page
        answer = _ask(anybody, row, _named(bureau))
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")
    assert _ask(anybody, row, _named(bureau), Accept="application/json").status_code == 401


@pytest.mark.parametrize("path", ["/cases/{}", "/items/{}", "/records/{}"])
def test_a_hidden_row_looks_like_one_that_does_not_exist(
    administrator: httpx.Client, bureau: Bureau, path: str
) -> None:
    known = {
        "/cases/{}": bureau.cases["main"],
        "/items/{}": bureau.items["video"],
        "/records/{}": bureau.records["inspection"],
    }
    hidden, missing = administrator.get(path.format(known[path])), administrator.get(path.format(uuid4()))
    assert hidden.status_code == missing.status_code == 404
    without_id = [re.sub(r"[0-9a-f-]{36}", "", answer.text) for answer in (hidden, missing)]
    assert without_id[0] == without_id[1]


# ---- beyond the own unit ---------------------------------------------------------------------------------------

_WORDS = ("占道经营", "later.mp4", "阿明烧烤")
_SUPERVISING = {Role.SUPERVISOR, Role.AUDITOR}


@dataclass(frozen=True)
class Abroad:
    """A bureau and, for each role, browsers of people from elsewhere: a neighbour, and an agency that supervises."""

    bureau: Bureau
    neighbours: Mapping[Role, httpx.Client]
    supervisors: Mapping[Role, httpx.Client]


@pytest.fixture(scope="module")
def abroad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    folder = tmp_path_factory.mktemp("abroad")
    bureau = seed.new_bureau(folder / "home", cn_profile=True)
    small_scene(bureau, folder / "media")
    neighbour = seed.new_agency(bureau, "西山区综合行政执法局")
    supervising = seed.new_agency(bureau, "昆明市综合行政执法局", supervises=FIRST_AGENCY)
    with ExitStack() as opened:
        opened.callback(bureau.services.close)
        base = opened.enter_context(seed.listening(create_app(bureau.services)))
        yield Abroad(bureau, signed_in_at(base, opened, neighbour), signed_in_at(base, opened, supervising))


@pytest.fixture(scope="module")
def restricted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bureau, Mapping[Role, httpx.Client]]]:
    """A bureau whose case concerns minors, and browsers of its own people, none of whom is cleared for that."""
    folder = tmp_path_factory.mktemp("restricted")
    bureau = seed.new_bureau(folder / "home", cn_profile=True)
    small_scene(bureau, folder / "media")
    seed.classify_main_case(bureau, RestrictedClass.MINORS)
    with ExitStack() as opened:
        opened.callback(bureau.services.close)
        base = opened.enter_context(seed.listening(create_app(bureau.services)))
        yield bureau, signed_in_at(base, opened, {role: name for role, (name, _) in PEOPLE.items()})


def _looks_missing(client: httpx.Client, row: Row, bureau: Bureau) -> None:
    """Make sure that a thing out of reach is answered like one that does not exist, and shows in no list."""
    there = _ask(client, row, _named(bureau))
    assert not [word for word in _WORDS if word in there.text]
    if not any(f"{{{name}}}" in row.route for name in _named(bureau)):
        return
    missing = _ask(client, row, {})
    assert there.status_code == missing.status_code
    texts = [
        re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d\d:\d\d:\d\d(\.\d+)?", "", answer.text) for answer in (there, missing)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("row", _TABLE, ids=lambda row: f"{row.method} {row.route}")
def test_what_is_in_no_unit_of_ones_own_does_not_exist(abroad: Abroad, row: Row) -> None:
    for role, client in abroad.neighbours.items():
        if "{template_id}" in row.route:  # what came with the program is for everybody
            assert _ask(client, row, _named(abroad.bureau)).status_code == row.expected(role)
        else:
            _looks_missing(client, row, abroad.bureau)


@pytest.mark.parametrize("row", _TABLE, ids=lambda row: f"{row.method} {row.route}")
def test_a_supervising_agency_sees_it_through_its_supervisors_and_auditors_only(abroad: Abroad, row: Row) -> None:
    for role, client in abroad.supervisors.items():
        if role in _SUPERVISING or "{template_id}" in row.route:
            assert _ask(client, row, _named(abroad.bureau)).status_code == row.expected(role)
        else:
            _looks_missing(client, row, abroad.bureau)


@pytest.mark.parametrize("row", _TABLE, ids=lambda row: f"{row.method} {row.route}")
def test_what_is_restricted_does_not_exist_for_who_is_not_cleared(
    restricted: tuple[Bureau, Mapping[Role, httpx.Client]], row: Row
) -> None:
    bureau, clients = restricted
    for role, client in clients.items():
        if "{subject_id}" in row.route or row.route in {"/subjects", "/cases"}:  # a subject is nobody's secret
            assert _ask(client, row, _named(bureau)).status_code == row.expected(role)
        elif (
            "{object_id}" in row.route
            or "{record_id}" in row.route
            or "{case_id}" in row.route
            or "{draft_id}" in row.route
        ):
            _looks_missing(client, row, bureau)


def test_the_administrator_sees_no_case_and_no_footage(administrator: httpx.Client) -> None:
    text = administrator.get("/admin").text
    assert "占道经营" not in text
    assert "later.mp4" not in text


def test_the_auditor_sees_no_player_and_no_way_to_copy(auditor: httpx.Client, bureau: Bureau) -> None:
    page = auditor.get(f"/items/{bureau.items['video']}").text
    for part in ("<video", '/play"', '/export"', '/links"'):
        assert part not in page
    assert "/verification" in page
    record = auditor.get(f"/records/{bureau.records['inspection']}").text
    assert '/open"' not in record


def test_the_case_handler_may_look_and_not_copy(handler: httpx.Client, bureau: Bureau) -> None:
    page = handler.get(f"/items/{bureau.items['video']}").text
    assert '/play"' in page
    assert '/export"' not in page
