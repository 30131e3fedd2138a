"""The database: models, migrations, and repositories that hand out frozen records."""
