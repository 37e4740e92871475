"""Agencies, units, supervision; who sees what; several roles; restricted classes.

What is there already is the first unit's. Who sees it is written by `liuhen migrate`, which sees that it is missing.
There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_AGENCY = "000000000000700080000000000000a0"
_UNIT = "000000000000700080000000000000a1"
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables, the first agency, and the columns that say whose everything is."""
    _organisation()
    op.create_table(
        "reach",
        sa.Column("party", _BIG, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("at", _BIG, autoincrement=False, nullable=False),
        sa.Column("ref_id", sa.Uuid(), nullable=False),
        sa.Column("classes", sa.SmallInteger(), nullable=False),
        sa.Column("until", _BIG, nullable=True),
        sa.PrimaryKeyConstraint("party", "kind", "at", "ref_id", name=op.f("pk_reach")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reach_ref_id", "reach", ["ref_id", "party", "classes", "until"], unique=False)
    _accounts()
    for table in ("preserved_object", "case_file", "subject", "dock", "enrolment_code", "integration"):
        op.add_column(table, sa.Column("unit_id", sa.Uuid(), server_default=_UNIT, nullable=False))
    for table in ("preserved_object", "case_file"):
        op.add_column(table, sa.Column("classes", sa.SmallInteger(), server_default="0", nullable=False))
        op.create_index(op.f(f"ix_{table}_unit_id"), table, ["unit_id"], unique=False)
    op.create_index(op.f("ix_subject_unit_id"), "subject", ["unit_id"], unique=False)
    op.create_table(
        "case_member",
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"], name=op.f("fk_case_member_case_id")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_case_member_account_id")),
        sa.PrimaryKeyConstraint("case_id", "account_id", name=op.f("pk_case_member")),
    )
    op.create_index(op.f("ix_case_member_account_id"), "case_member", ["account_id"], unique=False)


def _organisation() -> None:
    agency = op.create_table(
        "agency",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("root_unit_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agency")),
        sa.UniqueConstraint("code", name=op.f("uq_agency_code")),
        sa.UniqueConstraint("name", name=op.f("uq_agency_name")),
        sa.UniqueConstraint("root_unit_id", name=op.f("uq_agency_root_unit_id")),
    )
    unit = op.create_table(
        "unit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agency_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["agency_id"], ["agency.id"], name=op.f("fk_unit_agency_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["unit.id"], name=op.f("fk_unit_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unit")),
        sa.UniqueConstraint("agency_id", "code", name=op.f("uq_unit_agency_id_code")),
    )
    op.create_index(op.f("ix_unit_parent_id"), "unit", ["parent_id"], unique=False)
    op.create_table(
        "supervision",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("supervisor_id", sa.Uuid(), nullable=False),
        sa.Column("supervised_id", sa.Uuid(), nullable=True),
        sa.Column("basis", sa.String(length=300), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["supervisor_id"], ["agency.id"], name=op.f("fk_supervision_supervisor_id")),
        sa.ForeignKeyConstraint(["supervised_id"], ["agency.id"], name=op.f("fk_supervision_supervised_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supervision")),
        sa.UniqueConstraint("supervisor_id", "supervised_id", name=op.f("uq_supervision_supervisor_id_supervised_id")),
    )
    op.create_index(op.f("ix_supervision_supervised_id"), "supervision", ["supervised_id"], unique=False)
    for column in (
        sa.Column("unit_id", sa.Uuid(), nullable=True),
        sa.Column("area", sa.String(length=200), nullable=True),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspension_reason", sa.String(length=500), nullable=True),
    ):
        op.add_column("officer", column)
    op.create_index("ix_officer_unit_id", "officer", ["unit_id"], unique=False)
    named = f"code, name, recorded_at) VALUES ('{_AGENCY}', "
    first = "'1', 'First agency', CURRENT_TIMESTAMP)"
    op.execute(f"INSERT INTO {agency.name} (id, root_unit_id, {named}'{_UNIT}', {first}")
    op.execute(f"INSERT INTO {unit.name} (agency_id, id, {named}'{_UNIT}', {first}")


def _accounts() -> None:
    op.add_column("account", sa.Column("roles", sa.String(length=300), server_default=sa.text("''"), nullable=False))
    op.execute("UPDATE account SET roles = role")
    op.drop_column("account", "role")
    op.add_column("account", sa.Column("unit_id", sa.Uuid(), server_default=_UNIT, nullable=False))
    op.add_column("account", sa.Column("officer_id", sa.Uuid(), nullable=True))
    op.create_index(op.f("ix_account_unit_id"), "account", ["unit_id"], unique=False)
    op.create_index(op.f("ix_account_officer_id"), "account", ["officer_id"], unique=True)
    op.create_table(
        "clearance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("restricted_class", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_clearance_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clearance")),
    )
    op.create_index(op.f("ix_clearance_account_id"), "clearance", ["account_id"], unique=False)
