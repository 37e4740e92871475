from datetime import timedelta, datetime, UTC
from cryptography.hazmat.primitives.serialization import Encoding
from tests.integration.retention.conftest import *
from tests.integration.retention.test_destruction_certificates import *
def test_dbg(home, certified):
    pdf, root = pdf_of(home, certified), home.services.authority.root
    der = root.public_bytes(Encoding.DER)
    now = home.clock.now()
    for at in (now, now - timedelta(minutes=1), datetime.now(UTC), now + timedelta(days=1), now+timedelta(hours=1), now+timedelta(seconds=90)):
        r = judges.lta(pdf, der, at=at)
        print("DEBUG", at, r.ades_subindic, r.failure_msg)
    v = judge_document(pdf, trust=TrustList.embedded(root), at=now)
    print("DEBUG", v.outcome, [(f.code, f.outcome, f.message) for f in v.findings], v.signatures[0].level)
    print("DEBUG", home.services.authority.manifest_certificate.not_valid_before_utc, root.not_valid_before_utc)
    assert 0
