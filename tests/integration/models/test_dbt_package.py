"""The dbt package builds on what the demo loads, and says what Headwater's own views and a recount say."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from analysed import InPostgres, fill, publish
from recount import World

from headwater.models import Models
from headwater.models.rendering import PACKAGE
from headwater.warehouses.embedded import registry
from program import Program

DBT = Path(sys.prefix, "dbt", "bin", "dbt")
EMAIL, PRODUCT = ("activecampaign",), ("website",)
MODELS = sorted(path.stem for path in PACKAGE.glob("models/*.sql"))
ORDERS_MIN = 5
PATIENCE_S = 240.0

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """Run the demo until people have ordered, some of them after an email; return the directory of its warehouse."""
    program = Program(tmp_path_factory.mktemp("demo") / "data", command="demo", arguments=("--speed", "60"))
    views = program.data_dir / "warehouses" / "embedded" / "views.duckdb"
    with program:
        deadline = time.monotonic() + PATIENCE_S
        while not enough(views):
            assert time.monotonic() < deadline, (program.data_dir / "serve.log").read_text()[-3000:]
            time.sleep(0.5)
        program.cli("sync", "--wait")
    return views.parent


def enough(views: Path) -> bool:
    """Whether people have ordered, and one of them after an email that is in the warehouse too.

    On a slow machine the first orders follow emails whose history is still being read.
    """
    try:
        with duckdb.connect(views, read_only=True) as connection:
            ((orders,),) = connection.execute("select count(*) from website.order_completed").fetchall()
            ((led,),) = connection.execute("select conversions from headwater.email_totals").fetchall()
    except (duckdb.IOException, duckdb.CatalogException):  # not there yet
        return False
    return int(orders) >= ORDERS_MIN and int(led) > 0


@pytest.fixture(scope="module")
def tables(warehouse):
    return {
        table: columns
        for table, columns in registry.read(warehouse / "registry.json").items()
        if table.schema in (*EMAIL, *PRODUCT)
    }


@pytest.fixture(scope="module")
def rows(warehouse, tables):
    with duckdb.connect(warehouse / "views.duckdb", read_only=True) as connection:
        found = {}
        for table, columns in tables.items():
            values = connection.execute(f"select * from {table.schema}.{table.name}").fetchall()
            found[table] = [dict(zip(columns, row, strict=True)) for row in values]
        return found


@pytest.fixture(scope="module")
def counted(rows):
    return World({(table.schema, table.name): found for table, found in rows.items()}, EMAIL, PRODUCT)


def from_git(directory: Path) -> dict[str, object]:
    """Return the package as its users name it: a repository and a folder in it."""
    place, repository = "src/headwater/models/dbt", directory / "repository"
    shutil.copytree(PACKAGE, repository / place)
    git = ("git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "package")):
        subprocess.run([*git, *command], check=True, capture_output=True)
    return {"git": f"file://{repository}", "subdirectory": place, "revision": "main"}


def built(directory: Path, package: dict[str, object], output: dict[str, object], **variables: object) -> None:
    """Make a project that has the package, and build it without a network."""
    assert DBT.exists(), f"dbt is missing; install tests/integration/models/requirements.txt into {DBT.parents[1]}"
    given = {"headwater_email_schemas": [*EMAIL], "headwater_product_schemas": [*PRODUCT], **variables}
    project = {"name": "shop", "version": "1.0", "profile": "shop", "vars": given}
    files = {
        "dbt_project.yml": {**project, "flags": {"send_anonymous_usage_stats": False}},
        "packages.yml": {"packages": [package]},
        "profiles.yml": {"shop": {"target": "dev", "outputs": {"dev": output}}},
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))  # JSON is YAML
    environment = {**os.environ, "DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    for command in ("deps", "build"):
        arguments = [DBT, command, "--project-dir", directory, "--profiles-dir", directory, "--no-use-colors"]
        done = subprocess.run(arguments, env=environment, cwd=directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-6000:]
    results = json.loads((directory / "target" / "run_results.json").read_text())["results"]
    assert {each["status"] for each in results} == {"success", "pass"}
    assert len([each for each in results if each["status"] == "success"]) == len(MODELS)


FUNNEL = (
    "select source, campaign_id, recipients, delivered, opened, opened_by_machine_only, clicked, converted, "
    "conversions, revenue, unsubscribed, bounced, bounced_hard, spam, opens, machine_opens, clicks "
    "from {schema}.campaigns"
)


def funnel(ask, schema: str):
    return {row[:2]: row[2:] for row in ask(FUNNEL.format(schema=schema))}


def same(ask, one: str, other: str) -> None:
    """Compare every model of two schemas, row by row."""
    for model in MODELS:
        found, wanted = (sorted(ask(f"select * from {schema}.{model}"), key=repr) for schema in (one, other))
        assert found == wanted, model


def test_it_builds_on_duckdb_beside_the_warehouse_that_is_only_read(warehouse, counted, tmp_path):
    attached = {"path": str(warehouse / "views.duckdb"), "alias": "warehouse", "read_only": True}
    output = {"type": "duckdb", "path": str(tmp_path / "made.duckdb"), "attach": [attached], "threads": 2}
    built(tmp_path, from_git(tmp_path), output, headwater_database="warehouse")
    with duckdb.connect(tmp_path / "made.duckdb", read_only=True) as connection:
        connection.execute(f"attach '{warehouse / 'views.duckdb'}' as warehouse (read_only)")

        def ask(sql):
            return connection.execute(sql).fetchall()

        assert funnel(ask, "main_headwater") == counted.campaigns()
        assert ask("select * from main_headwater.email_totals") == [counted.totals()]
        assert counted.totals()[5] > 0  # orders that an email led to
        same(ask, "main_headwater", "warehouse.headwater")


def test_it_builds_on_postgresql(postgres_uri, tables, rows, counted, tmp_path):
    made = InPostgres(postgres_uri)
    fill(made, tables, rows)
    publish(made, tables, Models(), EMAIL)
    words = dict(word.split("=") for word in postgres_uri.split())
    output = {"type": "postgres", "dbname": words["dbname"], "schema": "analytics", "password": "", "threads": 2}
    output |= {"host": words["host"], "port": int(words["port"]), "user": words["user"]}
    built(tmp_path, {"local": str(PACKAGE)}, output)
    assert funnel(made.rows, "analytics_headwater") == counted.campaigns()
    same(made.rows, "analytics_headwater", "headwater")
    made.close()
