"""What every test has: control databases that begin as a copy of one that was migrated once."""

import shutil
from pathlib import Path

import pytest

from headwater.control import database


@pytest.fixture(scope="session", autouse=True)
def _migrated_once(tmp_path_factory):
    """Copy an empty database where a new one is wanted: its migrations take longer than most tests of it."""
    migrate, kept = database.migrate, tmp_path_factory.mktemp("migrated") / "control.db"

    def copied(engine):
        path = Path(engine.url.database or "")
        if engine.dialect.name == "sqlite" and path.parent.is_dir() and not path.exists():
            if not kept.exists():
                first = database.open_engine(f"sqlite:///{kept}")
                migrate(first)
                first.dispose()
            shutil.copyfile(kept, path)
        migrate(engine)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "migrate", copied)
        yield
