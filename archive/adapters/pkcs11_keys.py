"""Keys of documents in a PKCS#11 token: the private part never leaves it. Tried on SoftHSM2.

The module is loaded once in a process; a session is opened for each signature, so that a token that was pulled out and
put back works again, and tokens that allow few sessions are not held. Source: PKCS#11 (OASIS) 2.40.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from archive.kernel.errors import InvalidInput, LiuhenError, NotFound

_T = TypeVar("_T")
_EC: Final = "EC"
# python-pkcs11 sets up a module, and finds its slots, unguarded.
_MODULES: Final = threading.Lock()
# Whoever holds the lock of a token is logged in to it: the sessions of one process share their login.
_LOCKS: Final[dict[tuple[Path, str], threading.Lock]] = {}


class Pkcs11ModuleMissing(NotFound):
    """The PKCS#11 module is not there or cannot be loaded: look at the setting, install the driver of the token."""

    code = "token.module_missing"


class Pkcs11TokenMissing(LiuhenError):
    """There is no token with this label: it was pulled out, or never put in."""

    code = "token.missing"
    exit_code = 75
    retryable = True


class Pkcs11PinWrong(LiuhenError):
    """The token refuses the PIN; it is not tried again, since tokens lock themselves after a few tries."""

    code = "token.pin_wrong"
    exit_code = 78


class Pkcs11PinMissing(NotFound):
    """There is no PIN in the secret file, or others may read it."""

    code = "token.pin_missing"


class Pkcs11KeyMissing(NotFound):
    """There is no one key, or no one certificate, with this label or id in the token."""

    code = "token.key_missing"


class Pkcs11Fault(LiuhenError):
    """The token does not sign."""

    code = "token.fault"
    exit_code = 75
    retryable = True


class Pkcs11DigestRefused(InvalidInput):
    """The hash is not one that documents are signed with."""

    code = "token.digest_refused"


class Pkcs11Key:
    """A key in a token, found by label or id. Satisfies `archive.ports.keys.DocumentKey`; usable from several threads.

    Signatures with the keys of one token wait for each other.
    """

    def __init__(
        self,
        module: Path,
        *,
        token_label: str,
        pin_file: Path,
        key_label: str | None = None,
        key_id: bytes | None = None,
        certificate: bytes | None = None,
        chain: Sequence[bytes] = (),
    ) -> None:
        """Open the token once and read the certificate of the key from it, unless one is given (DER).

        The PIN is read from its file whenever a session is opened, and kept nowhere.
        Raises: Pkcs11ModuleMissing, Pkcs11TokenMissing, Pkcs11PinMissing, Pkcs11PinWrong, Pkcs11KeyMissing,
        Pkcs11Fault.
        """
        self._module = module
        self._token_label = token_label
        self._pin_file = pin_file
        self._wanted = {name: value for name, value in (("label", key_label), ("id", key_id)) if value is not None}
        self._chain = tuple(chain)
        self._certificate = self._with_session(self._found_certificate) if certificate is None else certificate
        self._kind: str = self._with_session(lambda session: self._key(session).key_type.name)

    @property
    def certificate(self) -> bytes:
        """The certificate, in DER."""
        return self._certificate

    @property
    def chain(self) -> Sequence[bytes]:
        """The certificates above it, in DER."""
        return self._chain

    def sign(self, data: bytes, *, digest_algorithm: str) -> bytes:
        """Return the bare signature over `data`.

        Raises: Pkcs11TokenMissing, Pkcs11PinMissing, Pkcs11PinWrong, Pkcs11KeyMissing, Pkcs11Fault,
        Pkcs11DigestRefused.
        """
        if digest_algorithm not in {"sha256", "sha384"}:
            raise Pkcs11DigestRefused(given=digest_algorithm[:20])
        return self._with_session(lambda session: self._signed(session, data, digest_algorithm))

    def _signed(self, session: Any, data: bytes, digest_algorithm: str) -> bytes:
        from pkcs11 import Mechanism

        key = self._key(session)
        if self._kind != _EC:
            return bytes(key.sign(data, mechanism=Mechanism[f"{digest_algorithm.upper()}_RSA_PKCS"]))
        # Hashed here: SoftHSM2 and many tokens know ECDSA over a digest only. The answer is r and s, of one length.
        raw = bytes(key.sign(hashlib.new(digest_algorithm, data).digest(), mechanism=Mechanism.ECDSA))
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))

    def _key(self, session: Any) -> Any:
        from pkcs11 import Attribute, ObjectClass

        return self._only(session, {Attribute.CLASS: ObjectClass.PRIVATE_KEY})

    def _found_certificate(self, session: Any) -> bytes:
        from pkcs11 import Attribute, ObjectClass

        found = self._only(session, {Attribute.CLASS: ObjectClass.CERTIFICATE})
        return bytes(found[Attribute.VALUE])

    def _only(self, session: Any, attributes: dict[Any, Any]) -> Any:
        from pkcs11 import Attribute

        wanted = {Attribute[name.upper()]: value for name, value in self._wanted.items()}
        found = list(session.get_objects({**attributes, **wanted}))
        if len(found) != 1:
            raise Pkcs11KeyMissing(found=len(found), token=self._token_label)
        return found[0]

    def _with_session(self, use: Callable[[Any], _T]) -> _T:
        """Return what `use` makes of a session of its own, with everything that a token says as an error of ours."""
        from pkcs11 import exceptions

        pin = _read_pin(self._pin_file)
        with _lock_of(self._module, self._token_label):
            try:
                with self._token().open(user_pin=pin) as session:
                    return use(session)
            except (
                exceptions.PinIncorrect,
                exceptions.PinInvalid,
                exceptions.PinLenRange,
                exceptions.PinLocked,
            ) as exc:
                raise Pkcs11PinWrong(token=self._token_label, reason=type(exc).__name__) from exc
            except (exceptions.TokenNotPresent, exceptions.TokenNotRecognised, exceptions.DeviceRemoved) as exc:
                raise Pkcs11TokenMissing(token=self._token_label) from exc
            except exceptions.PKCS11Error as exc:
                raise Pkcs11Fault(token=self._token_label, reason=type(exc).__name__) from exc

    def _token(self) -> Any:
        import pkcs11

        if not self._module.is_file():
            raise Pkcs11ModuleMissing(module=str(self._module))
        with _MODULES:
            try:
                library = pkcs11.lib(str(self._module))
            except pkcs11.exceptions.PKCS11Error as exc:  # no library, or one without the functions of PKCS#11
                raise Pkcs11ModuleMissing(module=str(self._module)) from exc
            try:
                return library.get_token(token_label=self._token_label)
            except pkcs11.exceptions.PKCS11Error as exc:  # some modules say "general error" where a token was
                raise Pkcs11TokenMissing(token=self._token_label, reason=type(exc).__name__) from exc

    def __repr__(self) -> str:
        """Show where the key is."""
        return f"Pkcs11Key({self._token_label}, {self._wanted})"


def _lock_of(module: Path, token_label: str) -> threading.Lock:
    with _MODULES:
        return _LOCKS.setdefault((module, token_label), threading.Lock())


def _read_pin(path: Path) -> str:
    """Return the PIN in a file that others may not read; one line end is not part of it. Raises: Pkcs11PinMissing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        raise Pkcs11PinMissing(path=str(path)) from exc
    with os.fdopen(descriptor, "rb") as source:
        mode = stat.S_IMODE(os.fstat(source.fileno()).st_mode)
        pin = source.read(1024).removesuffix(b"\n")
    if mode & (stat.S_IRWXO | stat.S_IWGRP) or not pin or not pin.isascii():
        raise Pkcs11PinMissing(path=str(path), mode=f"{mode:04o}")
    return pin.decode("ascii")
