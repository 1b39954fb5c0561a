"""Fixture: a small recorded space with illegal and failing configs."""

import pytest

from search_spaces.tabular_space import TabularSpace


@pytest.fixture(scope="session")
def recorded_space(tmp_path_factory: pytest.TempPathFactory) -> TabularSpace:
    """A made-up kernel: 4 decisions, 640 combinations; blocks of more than 256 threads have no row, a few rows fail."""
    rows = ["block_x,block_y,tile,layout,status,mean_ms,cost_s"]
    for block_x in (4, 8, 16, 32, 64, 128, 256, 512):
        for block_y in (1, 2, 4, 8):
            for tile in range(1, 11):
                for layout in (0, 1):
                    if block_x * block_y > 256:
                        continue
                    off = abs(block_x * block_y - 128) / 64 + abs(tile - 4) + layout + abs(block_y - 2) / 2
                    status = "CompilationFailedConfig" if tile * block_x > 1024 else "ok"
                    status = "RuntimeFailedConfig" if tile == 7 and layout else status
                    mean_ms = 1 + off if status == "ok" else ""
                    rows.append(f"{block_x},{block_y},{tile},{layout},{status},{mean_ms},{0.5 + tile / 10}")
    path = tmp_path_factory.mktemp("recorded") / "made_up.csv"
    path.write_text("\n".join(rows) + "\n")
    return TabularSpace(path)
