"""The one settings model. Read once, in wiring and at the command line; frozen after that.

Sources, strongest first: arguments, environment (`LIUHEN_...`), the file `liuhen.toml` in the home folder, defaults.
Every field is described in docs/settings.md (a test holds them together).
"""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, IPvAnyNetwork, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from archive.kernel.errors import LiuhenError


class Settings(BaseSettings):
    """Everything that an operator can set. Nothing calls out unless it is configured here."""

    model_config = SettingsConfigDict(env_prefix="LIUHEN_", extra="forbid", frozen=True)

    home: Path = Field(default=Path("liuhen-home"), description="Folder that holds database, stores, keys and log.")
    database_url: str = Field(default="", description="SQLAlchemy URL; empty means SQLite in the home folder.")
    store: Literal["files", "s3"] = Field(
        default="files", description="Where originals, renditions and drafts lie: folders of the home, or S3."
    )
    store_folder: Path | None = Field(
        default=None, description="Folder that these folders lie in with store = files; empty means the home."
    )
    s3_endpoint: str | None = Field(
        default=None, pattern=r"^https?://[^\s?#]+$", description="Address of the S3 server; empty means that of AWS."
    )
    s3_region: str = Field(default="us-east-1", description="Region that requests to S3 are signed for.")
    s3_bucket: str = Field(
        default="", description="Bucket with Object Lock that holds what is kept; needed with store = s3."
    )
    s3_work_bucket: str = Field(
        default="", description="Bucket without lock that holds what can be made again; needed with store = s3."
    )
    s3_prefix: str = Field(
        default="",
        pattern=r"^([a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)*)?$",
        description="Folder in both buckets that is this archive's; empty means the whole buckets.",
    )
    s3_credentials_file: Path | None = Field(
        default=None,
        description="File with access key and secret key in two lines, readable by its owner only; else boto3 looks.",
    )
    s3_ca: Path | None = Field(default=None, description="Certificate authorities that the S3 server may have, as PEM.")
    s3_lists_by_folder: bool = Field(
        default=False, description="Whether the server lists the work bucket folder by folder, as SeaweedFS does."
    )
    direct_intake: bool = Field(
        default=False, description="Whether docks may send recordings straight to the bucket, at presigned addresses."
    )
    s3_public_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="Address of the S3 server as docks and browsers see it; empty means s3_endpoint.",
    )
    intake_workers: int = Field(
        default=2, ge=1, le=32, description="Recordings at once that are read after docks sent them to the bucket."
    )
    lock_days: int = Field(
        default=90,
        ge=0,
        le=36500,
        description="Days that what is kept in S3 is locked for, renewed in time; 0: no lock.",
    )
    copy_folder: Path | None = Field(
        default=None,
        description="Folder, best of another server, for a second copy of every object; it must be there.",
    )
    copy_s3_bucket: str = Field(
        default="", description="Bucket, best with Object Lock, for a second copy of every object."
    )
    copy_s3_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="Address of the S3 server of the second copy; empty means that of AWS.",
    )
    copy_s3_region: str = Field(
        default="us-east-1", description="Region that requests for the second copy are signed for."
    )
    copy_s3_prefix: str = Field(
        default="",
        pattern=r"^([a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)*)?$",
        description="Folder in the bucket of the second copy that is this archive's.",
    )
    copy_s3_credentials_file: Path | None = Field(
        default=None,
        description="File with the key of the second copy, in two lines; one that cannot reach the first.",
    )
    copy_s3_ca: Path | None = Field(
        default=None, description="Certificate authorities that the server of the second copy may have, as PEM."
    )
    move_keep_days: int = Field(
        default=30, ge=1, le=3650, description="Days that the store which was left stays readable after a move."
    )
    renew_before_days: int = Field(
        default=365,
        ge=30,
        le=3650,
        description="Days before its end that a signature, timestamp or key is renewed; a third of its life at most.",
    )
    drill_days: int = Field(
        default=30, ge=0, le=3650, description="Days after which restoring from the second copy is tried; 0: never."
    )
    drill_objects: int = Field(
        default=20, ge=1, le=10000, description="Objects that a restore drill takes at random, beside one case."
    )
    local_folder: Path | None = Field(
        default=None, description="Folder on this host's own disk for uploads and work; empty means the home."
    )
    fetched_bytes: int = Field(
        default=64 << 30,
        ge=1 << 20,
        description="Most that files fetched from S3 take of the local disk, in bytes.",
    )
    database_pool: int = Field(
        default=20, ge=2, le=1000, description="Connections to the database that one process keeps; 10 more at most."
    )
    web_statement_s: int = Field(
        default=60, ge=0, le=3600, description="Seconds until PostgreSQL breaks off a page's statement; 0 means never."
    )
    organisation: str = Field(default="Liuhen", description="Name of the bureau, in certificates and on pages.")
    origin: str = Field(default="liuhen.local/log", description="Name of the log; unique in the world, never changed.")
    host: str = Field(default="127.0.0.1", description="Address that the server listens on.")
    port: int = Field(default=8443, ge=0, le=65535, description="Port that the server listens on; 0 picks a free one.")
    host_names: tuple[str, ...] = Field(default=(), description="Further names in the server's certificate.")
    tls: bool = Field(default=True, description="Serve HTTPS; may be off only when listening on localhost.")
    web_processes: int = Field(default=1, ge=1, le=64, description="Web processes that serve on this host.")
    web_sockets: Path | None = Field(
        default=None,
        description="Folder in which each web process listens on a socket of its own too, for a proxy on this host.",
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="Networks (CIDR) of proxies that are believed whom requests come from; one on web_sockets is.",
    )
    send_bytes: Literal["itself", "nginx", "redirect"] = Field(
        default="itself", description="Who sends what is replayed: the archive, nginx before it, or the bucket itself."
    )
    replay_lease_s: int = Field(
        default=60,
        ge=10,
        le=3600,
        description="Seconds for which a redirect to the bucket is good; players ask anew.",
    )
    cn_profile: bool = Field(default=False, description="Compute SM3 beside SHA-256 and SHA-512.")
    max_upload_bytes: int = Field(default=1 << 40, gt=0, description="Largest file that is accepted, in bytes.")
    axis_waiting_bytes: int = Field(
        default=1 << 40, gt=0, description="Most that waits in the unfinished recordings of one Axis system, in bytes."
    )
    upload_lifetime_h: int = Field(default=168, gt=0, description="Hours after which an unfinished upload expires.")
    reserve_bytes: int = Field(
        default=64 << 20, ge=0, description="Free space below which no upload starts or goes on, in bytes."
    )
    sequencing_interval_ms: int = Field(default=200, ge=20, le=1000, description="Pause between checkpoints, in ms.")
    prompt_workers: int = Field(default=2, ge=1, le=32, description="Jobs at once that somebody waits for.")
    long_workers: int = Field(default=1, ge=1, le=32, description="Long jobs (encodes) at once.")
    lease_s: int = Field(default=15, ge=2, le=600, description="Seconds until the job of a dead worker is taken over.")
    worker_grace_s: int = Field(
        default=10, ge=0, le=3600, description="Seconds that a stopping worker gives a job; then another takes it over."
    )
    broker_url: str | None = Field(
        default=None,
        pattern=r"^(redis|rediss|amqp|amqps)://[^\s?#]+$",
        description="Message broker for workers on several machines: Redis or RabbitMQ, no password in it.",
    )
    broker_password_file: Path | None = Field(
        default=None, description="File that holds the password at the broker, readable by its owner only."
    )
    broker_ca: Path | None = Field(
        default=None, description="Certificate authorities of the broker, as PEM, for rediss:// and amqps://."
    )
    ring_again_s: int = Field(
        default=15, ge=1, le=3600, description="Seconds after which a job is announced again if its message was lost."
    )
    oldest_job_alarm_s: int = Field(
        default=900, ge=1, description="Seconds that a due job may wait before `liuhen doctor` and the log warn of it."
    )
    webhook_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="Private networks (CIDR) that webhooks may go to, also over plain http; others get https only.",
    )
    webhook_ca: Path | None = Field(
        default=None, description="Further certificate authorities that receivers of webhooks may have, as PEM."
    )
    webhook_workers: int = Field(default=2, ge=1, le=16, description="Webhook deliveries at once.")
    event_days: int = Field(default=90, ge=4, description="Days for which events can be read and sent again.")
    api_requests_per_minute: int = Field(
        default=3000, ge=10, description="Requests that one integration may make in a minute."
    )
    searches_per_minute: int = Field(default=300, ge=1, description="Searches that one account may make in a minute.")
    heavy_per_minute: int = Field(
        default=60,
        ge=1,
        description="Lists, packages, copies, and checks of whole files that one account may ask for in a minute.",
    )
    uploads_per_minute: int = Field(
        default=3000, ge=1, description="Uploads that one account or dock may begin in a minute."
    )
    strangers_per_minute: int = Field(
        default=600,
        ge=1,
        description="Sign-ins, codes, wrong keys and proofs that one network (/24, /48) may ask for in a minute.",
    )
    witness_policy: Path | None = Field(
        default=None, description="C2SP policy file: witnesses, their addresses, and the quorum for receipts."
    )
    witness_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="Private networks (CIDR) that witnesses may be in, also over plain http; others get https only.",
    )
    witness_ca: Path | None = Field(
        default=None, description="Further certificate authorities that witnesses may have, as PEM."
    )
    witness_refresh_min: int = Field(
        default=60, ge=1, description="Minutes after which the newest checkpoint is cosigned again without new entries."
    )
    witness_at_start: Literal["asked", "required"] = Field(
        default="asked", description="Whether a witness that does not answer keeps the archive from starting."
    )
    anchor_minutes: int = Field(
        default=60, ge=1, description="Minutes after which the newest checkpoint is timestamped, if it is a new one."
    )
    tsa_url: str | None = Field(
        default=None, description="Address of an outside timestamp authority (RFC 3161) for the log's anchors."
    )
    tsa_ca: Path | None = Field(
        default=None, description="Root and issuers of that authority's certificates, as PEM; needed with tsa_url."
    )
    tsa_policy: str | None = Field(
        default=None, pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$", description="Policy (OID) that its tokens must be under."
    )
    tsa_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="Networks (CIDR) that the authority may be in beside public ones, also over plain http.",
    )
    sandbox: Literal["required", "preferred"] = Field(
        default="required", description="Whether media may be parsed without bubblewrap."
    )
    find_damage: Literal["always", "keyframes", "never"] = Field(
        default="always", description="Whether recordings are decoded to find damage: wholly, keyframes only, or not."
    )
    proxy_720: Literal["always", "on_demand", "never"] = Field(
        default="on_demand", description="When versions of 720 lines for slow links are made."
    )
    proxy_540: Literal["always", "on_demand", "never"] = Field(
        default="never", description="When versions of 540 lines for very slow links are made."
    )
    smtp_host: str | None = Field(default=None, description="Mail server for notices; without it no mail is sent.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the mail server.")
    smtp_security: Literal["starttls", "tls"] = Field(
        default="starttls", description="How mail is encrypted: STARTTLS (port 587), or TLS from the start (port 465)."
    )
    smtp_ca: Path | None = Field(
        default=None, description="Further certificate authorities that the mail server may have, as PEM."
    )
    smtp_username: str = Field(default="", description="User name at the mail server; empty means none.")
    smtp_password_file: Path | None = Field(
        default=None, description="File that holds the password at the mail server, readable by its owner only."
    )
    smtp_sender: str | None = Field(default=None, description="Address that mail comes from; needed with smtp_host.")
    smtp_link: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s?#]+$",
        description="Address of this archive in people's browsers, for links in mail; needed with smtp_host.",
    )
    smtp_timeout_s: float = Field(default=20.0, gt=0, le=120, description="Seconds that sending one mail may take.")
    complaint_rules: Path | None = Field(
        default=None,
        description="Rules of numbers and deadlines of complaints (TOML); empty means those that are shipped.",
    )
    retrieval_rules: Path | None = Field(
        default=None,
        description="Rules of who sees and copies at once, who asks first (TOML); empty means those that are shipped.",
    )
    trust_rules: Path | None = Field(
        default=None,
        description="Which acts with a certificate need a second person (TOML); empty means those that are shipped.",
    )
    public_pki_address: str | None = Field(
        default=None,
        pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]+)?$",
        description="Address under which others reach /pki; certificates name it from then on. Best plain http.",
    )
    pkcs11_module: Path | None = Field(
        default=None, description="PKCS#11 module (driver) of the token that holds seals; empty means there is none."
    )
    pkcs11_token: str | None = Field(default=None, description="Label of that token; needed with pkcs11_module.")
    pkcs11_pin_file: Path | None = Field(
        default=None, description="File with its PIN, readable by its owner only; needed with pkcs11_module."
    )
    only_filed_templates: bool = Field(
        False,
        description="New text records begin by templates that are filed (备案) only.",
    )
    volume_rules: Path | None = Field(
        default=None,
        description="How case files are arranged, numbered and filed (TOML); empty means the rules that are shipped.",
    )
    trust_lists: Path | None = Field(
        default=None,
        description="Folder of a trust list (trust.toml with PEM files), or of several; empty trusts only ourselves.",
    )
    validation_max_bytes: int = Field(
        default=1 << 30, gt=0, le=1 << 30, description="Largest upload whose signatures are judged, in bytes."
    )
    sm2_signature: bool = Field(
        default=False, description="Whether records that are filed get a second signature, with SM2 and SM3."
    )
    organisation_rules: Path | None = Field(
        default=None,
        description="What is asked of officers and reviewers (TOML); empty means the rules that are shipped.",
    )
    package_keep_days: int = Field(
        default=7, ge=1, description="Days after which a package that was built for download is removed."
    )
    session_idle_min: int = Field(
        default=60, ge=5, le=600, description="Minutes after which a session that nobody uses ends."
    )
    public_origin: str | None = Field(
        default=None,
        pattern=r"^https://[a-z0-9.-]+(:[0-9]+)?$|^http://localhost(:[0-9]+)?$",
        description="Address of the pages, as https://NAME, where a proxy hides it; passkeys are bound to its name.",
    )
    second_factor_roles: tuple[str, ...] = Field(
        default=(), description="Roles whose holders must have a second factor to work, for example administrator."
    )
    terms: Literal["asked", "off"] = Field(
        default="asked", description="Whether people accept terms of use before they work, and again when they change."
    )
    terms_file: Path | None = Field(
        default=None, description="Terms of use of the house (TOML, as archive/access/terms.toml); else those shipped."
    )
    oidc_issuer: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="Issuer of the bureau's sign-in provider (OpenID Connect); empty means there is none.",
    )
    oidc_client_id: str = Field(
        default="", description="Name that the provider knows this archive by; needed with oidc_issuer."
    )
    oidc_client_secret_file: Path | None = Field(
        default=None, description="File with the secret that goes with it; needed with oidc_issuer."
    )
    oidc_scopes: str = Field(
        default="openid profile",
        description="What the provider is asked for, with blanks between; openid is one of them.",
    )
    oidc_username_claim: str = Field(
        default="preferred_username", description="Claim that holds the user name of the account."
    )
    oidc_groups_claim: str = Field(
        default="groups", description="Claim that holds the groups that oidc_roles speaks of."
    )
    oidc_roles: dict[str, tuple[str, ...]] = Field(
        default={}, description="Which roles each group has; empty leaves roles to administrators."
    )
    oidc_make_accounts: bool = Field(
        default=False,
        description="Whether somebody without an account gets one, in the unit by oidc_units; needs oidc_roles.",
    )
    oidc_unit_claim: str = Field(
        default="department", description="Claim that holds the department that oidc_units speaks of."
    )
    oidc_units: dict[str, str] = Field(
        default={},
        description="Which unit, AGENCY/UNIT by codes, each department is; a new account without one waits.",
    )
    oidc_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="Private networks (CIDR) that the provider may be in, also over plain http; others get https only.",
    )
    oidc_ca: Path | None = Field(
        default=None, description="Further certificate authorities that the provider may have, as PEM."
    )
    metrics_token_file: Path | None = Field(
        default=None,
        description="File with the token by which Prometheus may read /metrics (Bearer); empty means nobody may.",
    )
    shutdown_delay_s: int = Field(
        default=0,
        ge=0,
        le=300,
        description="Seconds for which a web process that is told to end still takes requests, and says not ready.",
    )
    shutdown_s: int = Field(
        default=8, ge=1, le=600, description="Seconds that requests have to end when a web process is told to end."
    )
    dock_bytes_per_day: int = Field(
        default=0, ge=0, description="Bytes that one station may begin to send in 24 hours; 0 means any number."
    )
    dock_bytes_per_s: int = Field(
        default=0, ge=0, description="Bytes that one station may send in a second, on average; 0 means any number."
    )
    dock_uploads: int = Field(
        default=0, ge=0, description="Uploads that one station may have under way at once; 0 means any number."
    )
    most_waiting_uploads: int = Field(
        default=1000,
        ge=0,
        description="Complete uploads not taken in yet from which on none begins; 0 means any number.",
    )
    most_due_jobs: int = Field(
        default=100_000,
        ge=0,
        description="Prompt jobs that are due from which on no upload begins; 0 means any number.",
    )
    otel_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="Address that traces go to (OTLP over HTTP); needs the extra liuhen[otel]; empty means nowhere.",
    )
    ffmpeg: Path | None = Field(default=None, description="Folder of ffmpeg and ffprobe; empty means search.")

    @property
    def local(self) -> Path:
        """The folder on this host's own disk."""
        return (self.local_folder or self.home).absolute()

    @property
    def effective_database_url(self) -> str:
        """The database's URL, with the default filled in."""
        return self.database_url or f"sqlite+pysqlite:///{self.home.absolute() / 'liuhen.sqlite3'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the file of the home folder below arguments and environment."""
        del dotenv_settings, file_secret_settings
        given = init_settings().get("home") or os.environ.get("LIUHEN_HOME") or cls.model_fields["home"].default
        file = TomlConfigSettingsSource(settings_cls, toml_file=Path(given) / "liuhen.toml")
        return init_settings, env_settings, file


class SettingsInvalid(LiuhenError):
    """A setting is wrong; see docs/settings.md."""

    code = "settings.invalid"
    exit_code = 78


def load_settings(**given: Any) -> Settings:
    """Read the settings; arguments that are None are as if not given. Raises: SettingsInvalid."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsInvalid(f"The setting {where} is wrong: {first['msg']}") from exc
