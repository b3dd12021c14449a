"""Argos Translate and LibreTranslate with Strata in the place of CTranslate2. Run by `cargo test -p strata-mt-python`.

The package is made here from a tiny model that CTranslate2 converted. ``STRATA_GOLDEN_MODELS`` as in ``test_strata``.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

import strata_mt

GOLDEN = Path(os.environ["STRATA_GOLDEN_MODELS"])
CONVERTED = GOLDEN / "../../../import/tests/ctranslate2/f32"
TEXT = "The house is small. Open the file, please!\nThe house is small."

# Run with one argument, strata or ctranslate2. MiniSBD's models, which cut text into sentences, must be downloaded, so
# full stops cut it here.
BEGIN = """
import json, sys
if sys.argv[1] == "strata":
    import strata_mt.compat.ctranslate2
    sys.modules["ctranslate2"] = strata_mt.compat.ctranslate2
from argostranslate import sbd
sbd.MiniSBDSentencizer.split_sentences = lambda self, text: text.split(". ")
text = sys.argv[2]
"""

ARGOS = BEGIN + """
from argostranslate import translate
found = translate.get_translation_from_codes("en", "de").hypotheses(text, 2)
print(json.dumps([[one.value, one.score] for one in found]))
"""

LIBRETRANSLATE = BEGIN + """
sys.argv = ["libretranslate", "--disable-web-ui", "--threads", "1"]
from libretranslate.app import create_app
from libretranslate.main import get_args
client = create_app(get_args()).test_client()
asked = dict(q=text, source="en", target="de", format="text", alternatives=1)
answer = client.post("/translate", json=asked)
languages = sorted(language["code"] for language in client.get("/languages").json)
print(json.dumps([answer.status_code, answer.json, languages]))
"""


class Argos(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory()
        cls.folder = Path(cls._folder.name)
        for source, target in (("en", "de"), ("de", "en")):
            package = cls.folder / f"{source}_{target}.argosmodel"
            cls.pack(package, source, target)
            for kind in ("strata", "ctranslate2"):
                with zipfile.ZipFile(package) as archive:
                    archive.extractall(cls.folder / kind)
            # What docs/python.md says: the imported model in the place of the package's.
            model = cls.folder / "strata" / f"{source}_{target}" / "model"
            for file in model.iterdir():
                file.unlink()
            model.rmdir()
            strata_mt.import_model(package, model)

    @classmethod
    def tearDownClass(cls):
        cls._folder.cleanup()

    @staticmethod
    def pack(package, source, target):
        name = f"{source}_{target}"
        described = {
            "package_version": "1.0",
            "argos_version": "1.9",
            "from_code": source,
            "from_name": source,
            "to_code": target,
            "to_name": target,
        }
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr(f"{name}/metadata.json", json.dumps(described))
            archive.write(GOLDEN / "marian-apart" / "source.spm", f"{name}/sentencepiece.model")
            for file in ("model.bin", "shared_vocabulary.json"):
                archive.write(CONVERTED / file, f"{name}/model/{file}")
            # Argos Translate ends no sentence with the end mark, and this model was trained with it.
            options = json.loads((CONVERTED / "config.json").read_text())
            archive.writestr(f"{name}/model/config.json", json.dumps({**options, "add_source_eos": True}))

    def run_with(self, kind, code):
        home = self.folder / "home"
        environment = {
            **os.environ,
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "ARGOS_PACKAGES_DIR": str(self.folder / kind),
        }
        home.mkdir(exist_ok=True)
        ran = subprocess.run(
            [sys.executable, "-c", code, kind, TEXT], cwd=home, env=environment, capture_output=True, text=True
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return json.loads(ran.stdout.splitlines()[-1])

    def test_argos_translate_gives_what_it_gives_with_ctranslate2(self):
        found, expected = self.run_with("strata", ARGOS), self.run_with("ctranslate2", ARGOS)
        self.assertEqual([value for value, _ in found], [value for value, _ in expected])
        # No translation is empty: CTranslate2 spreads the end mark's probability at the first step over the other pieces,
        # so that all scores of a sentence are higher by the same.
        first, second = (ours[1] - theirs[1] for ours, theirs in zip(found, expected))
        self.assertAlmostEqual(first, second, places=4)

    def test_libretranslate_serves_it(self):
        status, answer, languages = self.run_with("strata", LIBRETRANSLATE)
        self.assertEqual((status, languages), (200, ["de", "en"]))
        best = self.run_with("strata", ARGOS)[0][0]
        # It writes first letters and full stops as the source has them.
        self.assertEqual(answer["translatedText"].lower().replace(".", "").split(), best.lower().split())
        self.assertEqual(len(answer["alternatives"]), 1)


if __name__ == "__main__":
    unittest.main()
