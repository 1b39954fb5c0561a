"""The store of the service in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import postgresql_server
import pytest

from autotune.service.documents import JobOrder, ModelOrder, QueueState
from autotune.service.job_list import JobFilter
from autotune.service.job_queue import Submission
from autotune.service.service import open_service
from autotune.service.service_folder import ServiceFolder
from autotune.service.token_documents import Scope
from autotune.service.uploads import UploadRequest

pytestmark = pytest.mark.skipif(postgresql_server.binaries() is None, reason="needs PostgreSQL")


def test_tokens_models_and_jobs_are_kept_in_postgresql(tmp_path: Path) -> None:
    binaries = postgresql_server.binaries()
    assert binaries is not None
    with postgresql_server.server(binaries) as server:
        service = open_service(ServiceFolder(tmp_path / "service"), f"{server.address}/postgres")
        made = service.tokens.create("test", [Scope.READ])
        assert service.tokens.check(made.secret) is not None
        for _ in range(2):
            service.usage.count(made.token.id, requests=2)
            service.usage.flush()
        assert service.tokens.get(made.token.id).usage[0].requests == 4
        upload = service.uploads.begin(UploadRequest("m.onnx", 1))
        file = service.uploads.open(upload.id, 0)
        file.write(b"m")
        file.close()
        service.uploads.complete(upload.id)
        wanted = Submission("job", JobOrder((ModelOrder(upload.id),), trials=1), 1.0, None, "key")
        job = service.queue.submit(wanted)
        assert service.queue.submit(wanted) == job
        assert service.jobs.get(job).position == 1
        claim = service.queue.claim("owner", 10.0)
        assert claim is not None and service.queue.claim("owner", 10.0) is None
        assert service.queue.recover("owner") == 1
        assert not service.queue.finish(claim, QueueState.FINISHED, None)
        again = service.queue.claim("owner", 10.0)
        assert again is not None and service.queue.finish(again, QueueState.FINISHED, None)
        [found] = service.jobs.page(JobFilter(model=upload.id), 5).jobs
        assert (found.id, found.state) == (job, QueueState.FINISHED)
        service.store.engine.dispose()
