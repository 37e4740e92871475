"""The closed words of a case. Source: docs/glossary.md."""

from enum import StrEnum


class Category(StrEnum):
    """Act category (执法类别)."""

    PERMISSION = "permission"
    PENALTY = "penalty"
    COERCION = "coercion"
    EXPROPRIATION = "expropriation"
    PAYMENT = "payment"
    CONFIRMATION = "confirmation"
    RULING = "ruling"
    INSPECTION = "inspection"


class Stage(StrEnum):
    """Stage of an act (环节)."""

    FILING = "filing"
    INSPECTION = "inspection"
    QUESTIONING = "questioning"
    SAMPLING = "sampling"
    PRESERVATION = "preservation"
    SEIZURE = "seizure"
    DEMOLITION = "demolition"
    HEARING = "hearing"
    NOTICE = "notice"
    SERVICE = "service"
    DECISION = "decision"
    ENFORCEMENT = "enforcement"
    CLOSING = "closing"


class SubjectKind(StrEnum):
    """Person or organisation."""

    PERSON = "person"
    ORGANISATION = "organisation"


class RecordForm(StrEnum):
    """Kind of a text record (文书格式)."""

    FILING_FORM = "filing_form"
    INSPECTION_RECORD = "inspection_record"
    QUESTIONING_RECORD = "questioning_record"
    SEIZURE_DECISION = "seizure_decision"
    SEIZURE_LIST = "seizure_list"
    PRESERVATION_NOTICE = "preservation_notice"
    PRESERVATION_LIST = "preservation_list"
    ADVANCE_NOTICE = "advance_notice"
    HEARING_NOTICE = "hearing_notice"
    HEARING_RECORD = "hearing_record"
    PENALTY_DECISION = "penalty_decision"
    SERVICE_RECEIPT = "service_receipt"
    CLOSING_REPORT = "closing_report"
    EVIDENCE_LIST = "evidence_list"
    ADDRESS_CONFIRMATION = "address_confirmation"
    OTHER = "other"
