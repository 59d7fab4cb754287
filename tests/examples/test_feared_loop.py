"""The example of the feared loop runs as its readers run it, small."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "feared_loop.py"


def test_it_prints_the_weeks_and_draws_them(tmp_path: Path) -> None:
    """More messages and more clicks for the greedy in the first week; the picture is well-formed."""
    drawing = tmp_path / "loop.svg"
    sizes = ["--customers", "60", "--weeks", "2", "--seeds", "2", "--svg", str(drawing)]
    done = subprocess.run([sys.executable, str(SCRIPT), *sizes], capture_output=True, text=True, check=True)
    first = next(line for line in done.stdout.splitlines() if line.startswith("   1"))
    messages, clicks = ([float(part) for part in cell.split("|")] for cell in (first[4:21], first[21:38]))
    assert messages[1] > 2 * messages[0] > 0
    assert clicks[1] > clicks[0] > 0
    assert "value" in done.stdout
    ET.parse(drawing)
