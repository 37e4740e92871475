"""Who may open a page, and ids in addresses. A page that names no guard fails a test."""

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote, urlsplit
from uuid import UUID

from fastapi import Depends

from archive.access.callers import Caller
from archive.access.policy import Capability, CertificateBars, may, require
from archive.kernel.errors import Forbidden, InvalidInput, NotFound
from archive.kernel.ids import (
    AccountId,
    ActId,
    AgencyId,
    CaseId,
    CertificateId,
    ClearanceId,
    ComplaintId,
    DeviceId,
    DispositionId,
    DockId,
    DownloadId,
    DraftId,
    EntryId,
    GrantId,
    HoldId,
    IdentifierId,
    JobId,
    JudgementId,
    KeyRequestId,
    LegalStaffId,
    MarkId,
    NoticeId,
    ObjectId,
    OfficerId,
    OfficerRecordId,
    PackageId,
    PasskeyId,
    RecordingId,
    RecoveryId,
    RequestId,
    SessionId,
    SubjectId,
    SupervisionId,
    TemplateId,
    UnitId,
    UploadId,
    VolumeId,
    WebhookId,
    parse_uuid,
)
from archive.web.dependencies import CallerDep


def needs(capability: Capability, *, hidden: bool = False) -> Callable[[Caller], Caller]:
    """Return a dependency that lets only roles with this capability in.

    A hidden page looks as if it did not exist: for addresses of single things, so that nobody learns which ids are in
    use. Raises: Forbidden, or NotFound when hidden.
    """

    def allowed(caller: CallerDep) -> Caller:
        if hidden and not may(caller.roles, capability):
            raise NotFound
        require(caller.roles, capability)
        if not caller.may(capability):
            raise CertificateBars
        return caller

    return allowed


def needs_either(*capabilities: Capability) -> Callable[[Caller], Caller]:
    """Return a dependency that lets roles with any of these capabilities look, barred ones too. Raises: Forbidden."""

    def allowed(caller: CallerDep) -> Caller:
        if not any(may(caller.roles, capability) for capability in capabilities):
            raise Forbidden(capability=capabilities[0].value)
        return caller

    return allowed


ListReader = Annotated[Caller, Depends(needs(Capability.READ_CATALOGUE))]
Reader = Annotated[Caller, Depends(needs(Capability.READ_CATALOGUE, hidden=True))]
Viewer = Annotated[Caller, Depends(needs(Capability.VIEW_CONTENT))]
HiddenViewer = Annotated[Caller, Depends(needs(Capability.VIEW_CONTENT, hidden=True))]
Exporter = Annotated[Caller, Depends(needs(Capability.EXPORT_CONTENT))]
Verifier = Annotated[Caller, Depends(needs(Capability.VERIFY))]
Filer = Annotated[Caller, Depends(needs(Capability.FILE_CASES))]
ComplaintHandler = Annotated[Caller, Depends(needs(Capability.HANDLE_COMPLAINTS))]
HiddenComplaintHandler = Annotated[Caller, Depends(needs(Capability.HANDLE_COMPLAINTS, hidden=True))]
Writer = Annotated[Caller, Depends(needs(Capability.WRITE_RECORDS))]
HiddenWriter = Annotated[Caller, Depends(needs(Capability.WRITE_RECORDS, hidden=True))]
Sealer = Annotated[Caller, Depends(needs(Capability.SEAL))]
HiddenSealer = Annotated[Caller, Depends(needs(Capability.SEAL, hidden=True))]
HiddenFiler = Annotated[Caller, Depends(needs(Capability.FILE_CASES, hidden=True))]
IdentifierReader = Annotated[Caller, Depends(needs(Capability.SHOW_IDENTIFIERS))]
Classifier = Annotated[Caller, Depends(needs(Capability.CLASSIFY))]
Mover = Annotated[Caller, Depends(needs(Capability.MOVE))]
Approver = Annotated[Caller, Depends(needs(Capability.APPROVE_RETRIEVAL))]
GlassBreaker = Annotated[Caller, Depends(needs(Capability.BREAK_GLASS))]
TraceReader = Annotated[Caller, Depends(needs(Capability.READ_TRACE))]
Uploader = Annotated[Caller, Depends(needs(Capability.UPLOAD))]
Proposer = Annotated[Caller, Depends(needs(Capability.PROPOSE_DISPOSAL))]
Appraiser = Annotated[Caller, Depends(needs(Capability.APPRAISE_DISPOSAL))]
DisposalApprover = Annotated[Caller, Depends(needs(Capability.APPROVE_DISPOSAL))]
DisposalSupervisor = Annotated[Caller, Depends(needs(Capability.SUPERVISE_DISPOSAL))]
LogReader = Annotated[Caller, Depends(needs(Capability.READ_LOG))]
LogHealthReader = Annotated[Caller, Depends(needs(Capability.READ_LOG_HEALTH))]
RetentionReader = Annotated[Caller, Depends(needs(Capability.READ_RETENTION))]
HiddenRetentionReader = Annotated[Caller, Depends(needs(Capability.READ_RETENTION, hidden=True))]
HoldPlacer = Annotated[Caller, Depends(needs(Capability.PLACE_HOLDS))]
Marker = Annotated[Caller, Depends(needs(Capability.MARK_RETENTION))]
Operator = Annotated[Caller, Depends(needs(Capability.OPERATE))]
Administrator = Annotated[Caller, Depends(needs(Capability.ADMINISTER))]

FixityReader = Annotated[Caller, Depends(needs_either(Capability.READ_RETENTION, Capability.OPERATE))]
TemplateReader = Annotated[Caller, Depends(needs_either(Capability.FILE_CASES, Capability.ADMINISTER))]


def _id_of(text: str) -> UUID:
    try:
        return parse_uuid(text)
    except InvalidInput as exc:
        raise NotFound from exc


def case_id_in_path(case_id: str) -> CaseId:
    """Return the case id of the address. Raises: NotFound for what is no id."""
    return CaseId(_id_of(case_id))


def object_id_in_path(object_id: str) -> ObjectId:
    """Return the object id of the address. Raises: NotFound for what is no id."""
    return ObjectId(_id_of(object_id))


def request_id_in_path(request_id: str) -> RequestId:
    """Return the id of a retrieval's request of the address. Raises: NotFound for what is no id."""
    return RequestId(_id_of(request_id))


def grant_id_in_path(grant_id: str) -> GrantId:
    """Return the grant id of the address. Raises: NotFound for what is no id."""
    return GrantId(_id_of(grant_id))


def entry_id_in_path(entry_id: str) -> EntryId:
    """Return the log entry's id of the address. Raises: NotFound for what is no id."""
    return EntryId(_id_of(entry_id))


def upload_id_in_path(upload_id: str) -> UploadId:
    """Return the upload id of the address. Raises: NotFound for what is no id."""
    return UploadId(_id_of(upload_id))


def dock_id_in_path(dock_id: str) -> DockId:
    """Return the dock id of the address. Raises: NotFound for what is no id."""
    return DockId(_id_of(dock_id))


def waiting_id_in_path(waiting_id: str) -> UUID:
    """Return the id of a recording that waits at a dock of the address. Raises: NotFound for what is no id."""
    return _id_of(waiting_id)


def job_id_in_path(job_id: str) -> JobId:
    """Return the job id of the address. Raises: NotFound for what is no id."""
    return JobId(_id_of(job_id))


def subject_id_in_path(subject_id: str) -> SubjectId:
    """Return the subject id of the address. Raises: NotFound for what is no id."""
    return SubjectId(_id_of(subject_id))


def identifier_id_in_path(identifier_id: str) -> IdentifierId:
    """Return the id of a recorded identifier of the address. Raises: NotFound for what is no id."""
    return IdentifierId(_id_of(identifier_id))


def recording_id_in_path(recording_id: str) -> RecordingId:
    """Return the recording id of the address. Raises: NotFound for what is no id."""
    return RecordingId(_id_of(recording_id))


def act_id_in_path(act_id: str) -> ActId:
    """Return the act id of the address. Raises: NotFound for what is no id."""
    return ActId(_id_of(act_id))


def webhook_id_in_path(webhook_id: str) -> WebhookId:
    """Return the webhook id of the address. Raises: NotFound for what is no id."""
    return WebhookId(_id_of(webhook_id))


def package_id_in_path(package_id: str) -> PackageId:
    """Return the package id of the address. Raises: NotFound for what is no id."""
    return PackageId(_id_of(package_id))


def download_id_in_path(download_id: str) -> DownloadId:
    """Return the id of a package's download of the address. Raises: NotFound for what is no id."""
    return DownloadId(_id_of(download_id))


def account_id_in_path(account_id: str) -> AccountId:
    """Return the account id of the address. Raises: NotFound for what is no id."""
    return AccountId(_id_of(account_id))


def officer_id_in_path(officer_id: str) -> OfficerId:
    """Return the officer id of the address. Raises: NotFound for what is no id."""
    return OfficerId(_id_of(officer_id))


def agency_id_in_path(agency_id: str) -> AgencyId:
    """Return the agency id of the address. Raises: NotFound for what is no id."""
    return AgencyId(_id_of(agency_id))


def unit_id_in_path(unit_id: str) -> UnitId:
    """Return the unit id of the address. Raises: NotFound for what is no id."""
    return UnitId(_id_of(unit_id))


def supervision_id_in_path(supervision_id: str) -> SupervisionId:
    """Return the id of a supervision of the address. Raises: NotFound for what is no id."""
    return SupervisionId(_id_of(supervision_id))


def passkey_id_in_path(passkey_id: str) -> PasskeyId:
    """Return the passkey's id of the address. Raises: NotFound for what is no id."""
    return PasskeyId(_id_of(passkey_id))


def recovery_id_in_path(recovery_id: str) -> RecoveryId:
    """Return the id of a recovery of the address. Raises: NotFound for what is no id."""
    return RecoveryId(_id_of(recovery_id))


def session_id_in_path(session_id: str) -> SessionId:
    """Return the id of a session of the address. Raises: NotFound for what is no id."""
    return SessionId(_id_of(session_id))


def notice_id_in_path(notice_id: str) -> NoticeId:
    """Return the notice's id of the address. Raises: NotFound for what is no id."""
    return NoticeId(_id_of(notice_id))


def complaint_id_in_path(complaint_id: str) -> ComplaintId:
    """Return the complaint's id of the address. Raises: NotFound for what is no id."""
    return ComplaintId(_id_of(complaint_id))


def officer_record_id_in_path(training_id: str) -> OfficerRecordId:
    """Return the id of a training or an examination of the address. Raises: NotFound for what is no id."""
    return OfficerRecordId(_id_of(training_id))


def legal_staff_id_in_path(staff_id: str) -> LegalStaffId:
    """Return the id of somebody of the legal staff of the address. Raises: NotFound for what is no id."""
    return LegalStaffId(_id_of(staff_id))


def clearance_id_in_path(clearance_id: str) -> ClearanceId:
    """Return the clearance's id of the address. Raises: NotFound for what is no id."""
    return ClearanceId(_id_of(clearance_id))


def device_id_in_path(device_id: str) -> DeviceId:
    """Return the device's id of the address. Raises: NotFound for what is no id."""
    return DeviceId(_id_of(device_id))


def disposition_id_in_path(list_id: str) -> DispositionId:
    """Return the id of a disposition list of the address. Raises: NotFound for what is no id."""
    return DispositionId(_id_of(list_id))


def draft_id_in_path(draft_id: str) -> DraftId:
    """Return the id of a text record that is being written of the address. Raises: NotFound for what is no id."""
    return DraftId(_id_of(draft_id))


def certificate_id_in_path(certificate_id: str) -> CertificateId:
    """Return the certificate's id of the address. Raises: NotFound for what is no id."""
    return CertificateId(_id_of(certificate_id))


def key_request_id_in_path(key_request_id: str) -> KeyRequestId:
    """Return the id of a request for an act with a certificate of the address. Raises: NotFound for what is no id."""
    return KeyRequestId(_id_of(key_request_id))


def template_id_in_path(template_id: str) -> TemplateId:
    """Return the template's id of the address. Raises: NotFound for what is no id."""
    return TemplateId(_id_of(template_id))


def volume_id_in_path(volume_id: str) -> VolumeId:
    """Return the id of a volume of a case file of the address. Raises: NotFound for what is no id."""
    return VolumeId(_id_of(volume_id))


def judgement_id_in_path(judgement_id: str) -> JudgementId:
    """Return the judgement's id of the address. Raises: NotFound for what is no id."""
    return JudgementId(_id_of(judgement_id))


def hold_id_in_path(hold_id: str) -> HoldId:
    """Return the hold's id of the address. Raises: NotFound for what is no id."""
    return HoldId(_id_of(hold_id))


def mark_id_in_path(mark_id: str) -> MarkId:
    """Return the retention mark's id of the address. Raises: NotFound for what is no id."""
    return MarkId(_id_of(mark_id))


CaseIdPath = Annotated[CaseId, Depends(case_id_in_path)]
ObjectIdPath = Annotated[ObjectId, Depends(object_id_in_path)]
RequestIdPath = Annotated[RequestId, Depends(request_id_in_path)]
GrantIdPath = Annotated[GrantId, Depends(grant_id_in_path)]
EntryIdPath = Annotated[EntryId, Depends(entry_id_in_path)]
UploadIdPath = Annotated[UploadId, Depends(upload_id_in_path)]
WebhookIdPath = Annotated[WebhookId, Depends(webhook_id_in_path)]
DockIdPath = Annotated[DockId, Depends(dock_id_in_path)]
JobIdPath = Annotated[JobId, Depends(job_id_in_path)]
SubjectIdPath = Annotated[SubjectId, Depends(subject_id_in_path)]
IdentifierIdPath = Annotated[IdentifierId, Depends(identifier_id_in_path)]
RecordingIdPath = Annotated[RecordingId, Depends(recording_id_in_path)]
ActIdPath = Annotated[ActId, Depends(act_id_in_path)]
PackageIdPath = Annotated[PackageId, Depends(package_id_in_path)]
AccountIdPath = Annotated[AccountId, Depends(account_id_in_path)]
OfficerIdPath = Annotated[OfficerId, Depends(officer_id_in_path)]
AgencyIdPath = Annotated[AgencyId, Depends(agency_id_in_path)]
UnitIdPath = Annotated[UnitId, Depends(unit_id_in_path)]
SupervisionIdPath = Annotated[SupervisionId, Depends(supervision_id_in_path)]
PasskeyIdPath = Annotated[PasskeyId, Depends(passkey_id_in_path)]
RecoveryIdPath = Annotated[RecoveryId, Depends(recovery_id_in_path)]
SessionIdPath = Annotated[SessionId, Depends(session_id_in_path)]
DownloadIdPath = Annotated[DownloadId, Depends(download_id_in_path)]
NoticeIdPath = Annotated[NoticeId, Depends(notice_id_in_path)]
ComplaintIdPath = Annotated[ComplaintId, Depends(complaint_id_in_path)]
OfficerRecordIdPath = Annotated[OfficerRecordId, Depends(officer_record_id_in_path)]
LegalStaffIdPath = Annotated[LegalStaffId, Depends(legal_staff_id_in_path)]
ClearanceIdPath = Annotated[ClearanceId, Depends(clearance_id_in_path)]
JudgementIdPath = Annotated[JudgementId, Depends(judgement_id_in_path)]
DeviceIdPath = Annotated[DeviceId, Depends(device_id_in_path)]
DispositionIdPath = Annotated[DispositionId, Depends(disposition_id_in_path)]
DraftIdPath = Annotated[DraftId, Depends(draft_id_in_path)]
CertificateIdPath = Annotated[CertificateId, Depends(certificate_id_in_path)]
KeyRequestIdPath = Annotated[KeyRequestId, Depends(key_request_id_in_path)]
TemplateIdPath = Annotated[TemplateId, Depends(template_id_in_path)]
VolumeIdPath = Annotated[VolumeId, Depends(volume_id_in_path)]
HoldIdPath = Annotated[HoldId, Depends(hold_id_in_path)]
MarkIdPath = Annotated[MarkId, Depends(mark_id_in_path)]


def chosen_act(text: str) -> ActId | None:
    """Return the act that a form names, None for none. Raises: InvalidInput."""
    return ActId(parse_uuid(text)) if text else None


def safe_next(address: str | None) -> str:
    """Return a local address to go on to; whatever could lead elsewhere becomes the first page.

    Browsers read a backslash as a slash and skip control characters, so neither may stand in it.
    """
    if address is None or not address.startswith("/") or address.startswith("//") or len(address) > 1024:
        return "/"
    if "\\" in address or any(ord(char) <= 32 or ord(char) == 127 for char in address):
        return "/"
    parts = urlsplit(address)
    return "/" if parts.scheme or parts.netloc else address


def sign_in_address(back: str) -> str:
    """Return the address of the sign-in page that leads back to `back` where that is a local address."""
    back = safe_next(back)
    return "/sign-in" if back == "/" else f"/sign-in?next={quote(back, safe='/')}"
