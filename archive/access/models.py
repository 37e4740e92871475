"""Tables of accounts, clearances, sessions, API keys and other systems.

Secrets are kept as hashes, or sealed where they must be read again.
"""

import uuid
from datetime import datetime

from sqlalchemy import Float, ForeignKey, Index, LargeBinary, SmallInteger, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment
from archive.organisation.models import FIRST_UNIT


class Account(Base):
    """A person who signs in: with roles, in one unit, and as the officer that this person is, if any.

    Several roles stand with blanks between them; `roles_since` is when they last changed, or the account was given back
    to somebody: None since it was made.
    """

    __tablename__ = "account"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    display_name: Mapped[str] = mapped_column(String(200))
    roles: Mapped[str] = mapped_column(String(300), server_default=text("''"))
    unit_id: Mapped[uuid.UUID] = mapped_column(index=True, server_default=FIRST_UNIT.hex)
    officer_id: Mapped[uuid.UUID | None] = mapped_column(unique=True, index=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(Moment)
    roles_since: Mapped[datetime | None] = mapped_column(Moment)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)
    terms_version: Mapped[str | None] = mapped_column(String(40))
    provider_subject: Mapped[str | None] = mapped_column(String(255), unique=True, index=True)


class Clearance(Base):
    """That an account may see a restricted class until a moment, and who said so."""

    __tablename__ = "clearance"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), index=True)
    restricted_class: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(500))
    granted_at: Mapped[datetime] = mapped_column(Moment)
    until: Mapped[datetime] = mapped_column(Moment)


class Session(Base):
    """A signed-in browser. The cookie's token is kept as its SHA-256; `id` names the row where people see it.

    `stage` is open, or second_factor while only the password was right; `way` is how its holder signed in.
    `last_seen_at` is kept to the minute.
    """

    __tablename__ = "session"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(unique=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), index=True)
    stage: Mapped[str] = mapped_column(String(16))
    way: Mapped[str] = mapped_column(String(16))
    browser: Mapped[str] = mapped_column(String(16))
    system: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Moment)
    last_seen_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class TotpSecret(Base):
    """The secret of an authenticator app, sealed by the vault. `last_step` is the newest 30 seconds that were used."""

    __tablename__ = "totp_secret"

    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(16), index=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int] = mapped_column(BigInt)
    set_at: Mapped[datetime] = mapped_column(Moment)


class RecoveryCode(Base):
    """A code that signs in once in place of an authenticator, as a keyed hash."""

    __tablename__ = "recovery_code"

    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    made_at: Mapped[datetime] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)


class Passkey(Base):
    """A passkey: the public key by which a person's device signs, and how often it says that it was used."""

    __tablename__ = "passkey"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), index=True)
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1023), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInt)
    name: Mapped[str] = mapped_column(String(100))
    made_at: Mapped[datetime] = mapped_column(Moment)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)


class UsedChallenge(Base):
    """A challenge that a passkey has answered; it counts once. Kept for as long as it could come back."""

    __tablename__ = "used_challenge"

    challenge: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    used_at: Mapped[datetime] = mapped_column(Moment, index=True)


class Recovery(Base):
    """That somebody is to be let in again: who began it and why; from its confirmation on, its code as a keyed hash."""

    __tablename__ = "recovery"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), index=True)
    reason: Mapped[str] = mapped_column(String(500))
    begun_by: Mapped[uuid.UUID]
    begun_at: Mapped[datetime] = mapped_column(Moment)
    code_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)


class SignInDelay(Base):
    """How often signing in under a name was refused to a source, and until when that source has to wait.

    `subject` is a keyed hash of the name, so that names which nobody has look the same and can be read from nowhere.
    """

    __tablename__ = "sign_in_delay"

    subject: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    source: Mapped[str] = mapped_column(String(80), primary_key=True)
    is_known: Mapped[bool]
    failed: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(Moment, index=True)
    refuse_until: Mapped[datetime | None] = mapped_column(Moment)


class RefusedNames(Base):
    """How many names that nobody has were refused since a moment and are in no log entry yet; one row at most."""

    __tablename__ = "refused_names"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int]
    since: Mapped[datetime] = mapped_column(Moment)


class ApiKey(Base):
    """A scoped, expiring key for a machine. `holder_id` is the dock or the integration.

    `key_id` names the key of the house that the hash was made with. Several scopes stand with blanks between them.
    `last_used_at` is kept for integrations, to the minute.
    """

    __tablename__ = "api_key"

    prefix: Mapped[str] = mapped_column(String(16), primary_key=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    key_id: Mapped[str | None] = mapped_column(String(16))
    scope: Mapped[str] = mapped_column(String(200))
    holder_id: Mapped[uuid.UUID] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)


class Integration(Base):
    """Another system that pushes or reads over the API, by the short name that stands in its addresses."""

    __tablename__ = "integration"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    unit_id: Mapped[uuid.UUID] = mapped_column(server_default=FIRST_UNIT.hex)
    created_at: Mapped[datetime] = mapped_column(Moment)


class ExternalId(Base):
    """What an integration calls a thing of ours. One thing has one name in one integration, and one name one thing."""

    __tablename__ = "external_id"
    __table_args__ = (
        UniqueConstraint("integration_id", "kind", "internal_id"),
        Index("ix_external_id_integration_id_kind_bound_at", "integration_id", "kind", "bound_at"),
    )

    integration_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("integration.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    external_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    internal_id: Mapped[uuid.UUID] = mapped_column(index=True)
    bound_at: Mapped[datetime] = mapped_column(Moment)


class Allowance(Base):
    """How much somebody may still ask for: a bucket that fills evenly (`archive.access.allowances`).

    `who` is the beginning of a hash of the account, the key or the network.
    """

    __tablename__ = "allowance"

    meter: Mapped[str] = mapped_column(String(16), primary_key=True)
    who: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    left: Mapped[float] = mapped_column(Float)
    at: Mapped[datetime] = mapped_column(Moment, index=True)
