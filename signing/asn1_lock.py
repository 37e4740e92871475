"""One at a time: whoever holds this lock may use asn1crypto."""

import threading
from typing import Final

ASN1_LOCK: Final = threading.Lock()
"""asn1crypto sets up its classes at first use and reads certificates lazily, both unguarded. It costs nothing: what
asn1crypto does is Python and runs one thread at a time anyway."""
