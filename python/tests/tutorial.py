"""Runs the blocks of docs/tutorial.md in their order: those that begin with the program's name in a shell, all others
as one program of Python. Run by `cargo test -p strata-mt-python`; ``STRATA_BINARY`` names the command line.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"


def blocks(text):
    """The indented blocks of a page, without their indentation; blank lines inside belong to them."""
    found = re.findall(r"^(?:    .*\n)(?:(?:    .*)?\n)*", text, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip() for block in found]


class Tutorial(unittest.TestCase):
    def test_every_block_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            commands = Path(folder) / "bin"
            commands.mkdir()
            (commands / "strata").symlink_to(os.environ["STRATA_BINARY"])
            path = os.pathsep.join([str(commands), os.environ["PATH"]])
            environment = {**os.environ, "PATH": path, "MPLBACKEND": "agg"}
            shell = [block for block in blocks(PAGE.read_text()) if block.startswith("strata ")]
            python = [block for block in blocks(PAGE.read_text()) if block not in shell]
            self.assertTrue(len(shell) == 1 and len(python) == 6, (shell, python))
            for command in (*(["sh", "-ec", block] for block in shell), [sys.executable, "-c", "\n".join(python)]):
                ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
                self.assertEqual(ran.returncode, 0, f"{ran.stdout}{ran.stderr}")
            self.assertRegex(ran.stdout, r"BLEU \d+\.\d  nrefs:1")
            self.assertTrue((Path(folder) / "routing.png").read_bytes().startswith(b"\x89PNG"))


if __name__ == "__main__":
    unittest.main()
