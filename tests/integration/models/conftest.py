import pytest

from postgres_server import server


@pytest.fixture(scope="session")
def postgres_uri():
    """Return the address of an empty database."""
    made = server()
    return f"host={made.directory} port={made.port} user=postgres dbname={made.database()}"
