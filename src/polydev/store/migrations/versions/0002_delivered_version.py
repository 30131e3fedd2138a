"""A credential's row says which version its CLI machine was given."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("credentials", sa.Column("delivered_version", sa.Integer(), nullable=True))
