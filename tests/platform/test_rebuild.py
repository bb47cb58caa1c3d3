"""`recoup rebuild` reaches the running platform's databases with what the rebuilding needs."""

from __future__ import annotations

import json
import subprocess
import sys

from deploy.local.databases import create_database, drop_database
from deploy.local.migrate import migrate
from deploy.local.platform import Platform
from deploy.local.secrets import kept_secrets


def recoup(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from cli.main import main; sys.exit(main())", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_services_tables_are_made_anew(bare: Platform) -> None:
    home = str(bare.places.home)
    services = {"accounts": {"grpc": 0, "metrics": 0}, "audit": {"grpc": 0, "metrics": 0}, "gateway": {"http": 0}}
    told = json.loads(bare.places.platform.read_text()) | {"services": services}
    bare.places.platform.write_text(json.dumps(told))
    secrets = kept_secrets(bare.places.secrets)
    # Another test of this server may have left it migrated.
    drop_database(create_database(bare.postgres.url, "accounts", secrets))
    database = create_database(bare.postgres.url, "accounts", secrets)
    before = recoup("rebuild", "accounts", "--home", home)
    assert (before.returncode, before.stderr.count("Traceback")) == (2, 0)
    assert 'schema "views" does not exist' in before.stderr
    migrate(database)
    done = recoup("rebuild", "accounts", "--home", home)
    assert done.returncode == 0, done.stderr
    assert "rebuilt" in done.stderr
    refused = recoup("rebuild", "audit", "--home", home)
    assert refused.returncode == 2
    assert "records no facts of its own" in refused.stderr
    unknown = recoup("rebuild", "plans", "--home", home)
    assert unknown.returncode == 1
    assert "There is no service plans" in unknown.stderr
