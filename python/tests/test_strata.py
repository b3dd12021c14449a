"""Tests of the package, on models that are made here. Run by `cargo test -p strata-mt-python`.

``STRATA_GOLDEN_MODELS`` names the folder of tiny models of other programs, ``STRATA_BINARY`` the command line.
"""

import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import strata_mt
from strata_mt import Sampling, StrataError, Translator
from strata_mt.compat import ctranslate2

GOLDEN = Path(os.environ["STRATA_GOLDEN_MODELS"])
BINARY = os.environ.get("STRATA_BINARY")
TEXTS = ["The old dog sees the cat.", "A house. And a tree!", "", "See https://example.org, please.", "two\tcats"]

RECIPE = """
[data]
prepared = "prepared"
tokens_per_batch = 200
max_length = 64
[model]
kind = "smoe"
strata = [2, 2]
encoder_layers = 2
decoder_layers = 2
d_model = 16
d_ffn = 32
heads = 2
max_length = 64
[train]
output = "run"
updates = 20
warmup = 4
learning_rate = 1e-2
threads = 2
validate_every = 20
validate_sentences = 5
checkpoint_every = 20
"""


class Models(unittest.TestCase):
    """Imported models, made once."""

    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory()
        cls.folder = Path(cls._folder.name)
        cls.summary = strata_mt.import_model(
            GOLDEN / "marian-apart", cls.folder / "marian", source="en", target="de"
        )
        strata_mt.import_model(GOLDEN / "nllb-moe", cls.folder / "moe")
        cls.translator = Translator(cls.folder / "marian", threads=2)
        cls.moe = Translator(cls.folder / "moe", threads=2)
        cls.expected = cls.translator.translate(TEXTS, "de")
        cls.target, cls.source = cls.moe.languages[0], cls.moe.languages[1]

    @classmethod
    def tearDownClass(cls):
        cls._folder.cleanup()

    def refused(self, words, call, *arguments, **options):
        with self.assertRaises(StrataError) as caught:
            call(*arguments, **options)
        self.assertIn(words, str(caught.exception))

    def test_a_text_gives_a_text_and_a_list_a_list(self):
        several = self.translator.translate(TEXTS, "de")
        self.assertEqual(several, [self.translator.translate(text, "de") for text in TEXTS])
        self.assertEqual(several, list(self.translator.stream(iter(TEXTS), "de", batch=2)))
        self.assertEqual(self.translator.translate([], "de"), [])
        self.assertEqual(several[2], "")
        self.assertIn("https://example.org", several[3])

    def test_the_lines_of_a_file_are_texts_without_their_ends(self):
        lines = self.folder / "lines.txt"
        lines.write_bytes("\n".join(TEXTS).encode())
        with lines.open(encoding="utf-8") as file:
            self.assertEqual(list(self.translator.stream(file, "de", batch=2)), self.expected)
        # Files that are read with the ends that they have; only one end is taken off.
        ended = [f"{text}\r\n" for text in TEXTS]
        self.assertEqual(list(self.translator.stream(ended, "de")), self.expected)
        text = "A house.\n\nAnd a tree!"
        kept = self.translator.translate([text, text + "\n"], "de")
        self.assertTrue("\n\n" in kept[0] and kept[1] == kept[0] + "\n", kept)
        self.assertEqual(list(self.translator.stream([text, text + "\n", text + "\n\n"], "de")), [kept[0], *kept])

    def test_translations_say_all_about_themselves(self):
        full = self.translator.translate_full
        found = full(TEXTS[:1], "de", nbest=3, alignment=True, min_length=8, whole_lines=True)[0]
        self.assertEqual(len(found), 3)
        self.assertEqual(sorted((one.score for one in found), reverse=True), [one.score for one in found])
        mean = sum(token.score for token in found[0].tokens) / len(found[0].tokens)
        self.assertAlmostEqual(found[0].score, mean, places=4)
        words = len(TEXTS[0].split())
        self.assertTrue(found[0].alignment and all(source < words for source, _ in found[0].alignment))
        self.assertEqual(str(found[0]), found[0].text)

    def test_every_option_acts(self):
        def full(**options):
            options = {"min_length": 8, "whole_lines": True, **options}
            return self.translator.translate_full(TEXTS[:1], "de", **options)[0][0]

        plain = full()
        self.assertEqual(len(full(max_length=3).tokens), 3)
        self.assertGreaterEqual(len(full(min_length=25, max_extra=60).tokens), 25)
        self.assertGreater(len(plain.tokens), len(full(max_ratio=0.0, max_extra=2).tokens))
        self.assertNotEqual(plain.score, full(length_penalty=0.5).score)
        self.assertNotEqual(plain.score, full(coverage_penalty=0.5).score)
        first = plain.tokens[0].piece
        self.assertNotIn(first, [token.piece for token in full(suppress=[first]).tokens])
        drawn = [full(sampling=Sampling(temperature=2.0, seed=seed)).text for seed in (1, 1, 2)]
        self.assertTrue(drawn[0] == drawn[1] != drawn[2], drawn)
        self.assertEqual([full(sampling=Sampling(temperature=2.0), beam=beam).text for beam in (1, 9)], drawn[:2])
        several = {"nbest": 4, "sampling": Sampling(temperature=2.0), "min_length": 8, "whole_lines": True}
        [all_drawn] = self.translator.translate_full(TEXTS[:1], "de", **several)
        self.assertTrue(len(all_drawn) == 4 and drawn[0] in [one.text for one in all_drawn], all_drawn)
        pieces = self.translator.pieces(self.translator.encode("house"))
        prefixed = self.translator.translate_full(["house"], "de", prefixes=["house"])[0][0]
        self.assertEqual([token.piece for token in prefixed.tokens][: len(pieces)], pieces)
        self.assertIn("house", full(glossary={"dog": "house"}).text)
        terms = self.folder / "terms.txt"
        terms.write_text("dog=house\n")
        self.assertEqual(full(glossary=terms).text, full(glossary={"dog": "house"}).text)
        for unseen in ({"\u200b": "house"}, {"": "house"}, {"dog": " "}):
            with self.assertRaisesRegex(StrataError, "glossary: .* can be seen"):
                full(glossary=unseen)

    def test_a_shortlist_is_used_unless_the_whole_vocabulary_is_asked_for(self):
        folder = shutil.copytree(self.folder / "moe", self.folder / "listed")
        size, end = self.moe.config["vocab_size"], 1
        listed = sorted({end, *self.moe.encode("the house is small")})
        lists = {"always": listed, "ids": [], "offsets": [0] * (size + 1)}
        header, data = {}, b""
        for name, ids in lists.items():
            start, data = len(data), data + struct.pack(f"<{len(ids)}I", *ids)
            header[name] = {"dtype": "U32", "shape": [len(ids)], "data_offsets": [start, len(data)]}
        text = json.dumps(header).encode()
        (folder / "shortlist.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        whole = Translator(folder, whole_vocabulary=True)
        call = {"target": self.target, "source": self.source}
        few = Translator(folder).translate_full(TEXTS[:2], min_length=8, whole_lines=True, **call)
        allowed = set(self.moe.pieces(listed))
        self.assertLessEqual({token.piece for [best] in few for token in best.tokens}, allowed)
        for full in (whole, self.moe):
            free = full.translate_full(TEXTS[:2], min_length=8, whole_lines=True, **call)
            self.assertFalse({token.piece for [best] in free for token in best.tokens} <= allowed)
        self.assertEqual(whole.translate(TEXTS, **call), self.moe.translate(TEXTS, **call))
        html = "<p>The <b>house</b> is red.</p>"
        self.assertEqual(whole.translate_html(html, **call), self.moe.translate_html(html, **call))

    def test_the_model_describes_itself(self):
        self.assertEqual(self.summary["languages"], ["de", "en"])
        self.assertEqual((self.translator.languages, self.translator.directions), (["de", "en"], [("en", "de")]))
        self.assertEqual(self.translator.config["encoder_layers"], self.summary["layers"][0])
        ids = self.translator.encode("a house")
        self.assertEqual(self.translator.decode(ids), "a house")
        self.assertIn("marian", repr(self.translator))

    def test_given_translations_are_scored(self):
        best = self.translator.translate_full(TEXTS[:1], "de", whole_lines=True)[0][0]
        scored = self.translator.score(TEXTS[:1], ["a house"], "de")[0]
        self.assertAlmostEqual(scored.sum / len(scored.tokens), scored.score, places=5)
        self.assertLess(scored.score, best.score)

    def test_routing_comes_as_arrays(self):
        sentences = self.moe.route(["A house. And a tree!", ""], self.target, self.source)
        self.assertEqual([len(sentences[0]), len(sentences[1])], [2, 0])
        config = self.moe.config
        for side in (sentences[0][0].source, sentences[0][0].target):
            tokens, blocks, strata, top_k = side.experts.shape
            self.assertEqual((tokens, blocks), (len(side.pieces), len(side.layers)))
            self.assertEqual((strata, top_k), (1, config["top_k"]))
            self.assertEqual((side.experts.dtype, side.weights.dtype), (np.int32, np.float32))
            self.assertEqual((side.weights.shape, side.strata.shape), (side.experts.shape, (tokens, blocks)))
            read = side.strata[:, 0] > 0
            self.assertTrue(read[:-1].all() and blocks > 0)
            self.assertTrue((side.experts[read] >= 0).all() and (side.experts[~read] == -1).all())
            self.assertTrue((side.weights[read] > 0).all() and (side.weights.sum(axis=-1) <= 1 + 1e-5).all())
        dense = self.translator.route(["A house."], "de")[0][0].source
        self.assertEqual((dense.layers, dense.experts.size), ([], 0))

    def test_markup_stays(self):
        html = "<p>A <b>house</b> &amp; a tree.</p>"
        found = self.translator.translate_html(html, "de")
        self.assertTrue(found.startswith("<p>") and found.endswith("</p>"), found)
        self.assertEqual(found.count("<b>"), 1)

    def test_packed_folders_give_the_same(self):
        packed = strata_mt.export(self.folder / "marian", self.folder / "packed")
        self.assertEqual(Translator(packed, "f32").translate(TEXTS, "de"), self.translator.translate(TEXTS, "de"))
        int8 = strata_mt.export(self.folder / "marian", self.folder / "int8", precision="int8")
        self.assertEqual(
            Translator(int8).translate(TEXTS, "de"), Translator(self.folder / "marian", "int8").translate(TEXTS, "de")
        )
        self.refused("packed in int8; export", Translator, int8, "f32")
        self.refused("packed in f32", Translator, packed, "int8")
        self.refused("exists", strata_mt.export, self.folder / "marian", packed)
        self.refused("is a packed folder", strata_mt.export, packed, self.folder / "again")

    def test_packed_folders_have_the_vocabulary_maps_that_cover_enough(self):
        model, path = self.folder / "marian", self.folder / "map.json"
        subwords = hashlib.sha256((model / "tokenizer.json").read_bytes()).hexdigest()
        size = json.loads((model / "config.json").read_text())["vocab_size"]

        def export(covers, **options):
            languages = {"de": {"ids": list(range(size)), "covers": covers}}
            text = {"version": 2, "vocab_size": size, "subwords": subwords, "languages": languages}
            path.write_text(json.dumps(text))
            return Path(strata_mt.export(model, self.folder / "mapped", vocabulary_map=path, **options))

        self.refused("of no language to 99.9 %", export, 0.99)
        self.refused("only a packed folder holds one", export, 1.0, format="ctranslate2")
        packed = export(0.9995)
        self.assertEqual(list(json.loads((packed / "vocabulary_map.json").read_text())["languages"]), ["de"])
        self.assertEqual(Translator(packed).translate(TEXTS, "de"), self.translator.translate(TEXTS, "de"))

    def test_a_changed_file_is_found_unless_sizes_are_enough(self):
        copied = shutil.copytree(self.folder / "marian", self.folder / "copied")
        packed = Path(strata_mt.export(copied, self.folder / "copied-packed"))
        for folder, weights in ((copied, "model.safetensors"), (packed, "packed.safetensors")):
            changed = bytearray((folder / weights).read_bytes())
            changed[-4] ^= 1  # the lowest bit of the last weight
            (folder / weights).write_bytes(changed)
            found = Translator(folder, verify=False).translate(TEXTS, "de")
            self.assertEqual(len(found), len(TEXTS))
            # And nothing was noted as verified.
            self.refused(f"{weights} is damaged", Translator, folder)
            (folder / weights).write_bytes(changed[:-4])
            self.refused(weights, lambda: Translator(folder, verify=False))

    def test_a_model_without_finite_scores_gives_no_translations(self):
        folder = shutil.copytree(self.folder / "moe", self.folder / "huge")
        weights = bytearray((folder / "model.safetensors").read_bytes())
        start = 8 + struct.unpack("<Q", weights[:8])[0]
        weights[start:] = np.full((len(weights) - start) // 4, 3e38, np.float32).tobytes()
        (folder / "model.safetensors").write_bytes(weights)
        huge = Translator(folder, verify=False)
        words, call = "the model's scores are no finite numbers", (self.target, self.source)
        pieces = [huge.pieces(huge.encode(TEXTS[0]))]
        self.refused(f"text 1: {words}", huge.translate, ["", TEXTS[0]], *call)
        self.refused(f"text 0: {words}", lambda: list(huge.stream(TEXTS, *call)))
        self.refused(f"sentence 0: {words}", huge.translate_html, "<p>A house.</p>", *call)
        self.refused(f"sentence 0: {words}", huge.translate_pieces, pieces, *call)
        self.refused(f"sentence 0: {words}", huge.route, TEXTS, *call)
        [[best]] = huge.translate_full(TEXTS[:1], *call)
        self.assertIn(words, best.warning)

    def test_bad_input_is_refused_in_the_words_of_the_command_line(self):
        self.refused("is not a model", Translator, self.folder / "nothing")
        self.refused("`f16` is no precision; choose f32, bf16 or int8", Translator, self.folder / "marian", "f16")
        self.refused("choose 1 thread or more", Translator, self.folder / "marian", threads=0)
        self.refused("does not translate into `fr`; it knows: de", self.translator.translate, "a", "fr")
        self.refused("does not translate from `fr`", self.translator.translate, "a", "de", "fr")
        self.refused("name two languages", self.moe.translate, "a", self.target, self.target)
        full = self.translator.translate_full
        self.refused("beam = 0 must be an integer from 1 to 1024", full, TEXTS, "de", beam=0)
        self.refused("top_p = 0.0 must be", full, TEXTS, "de", sampling=Sampling(top_p=0.0))
        self.refused("1 prefixes for 5 texts", full, TEXTS, "de", prefixes=["a"])
        self.refused("no piece `zzzz` to suppress", full, TEXTS, "de", suppress=["zzzz"])
        self.refused("outside the vocabulary", self.translator.decode, [10**6])
        self.refused("pair 1: a side of", self.translator.score, ["a", "a"], ["a", "house " * 2000], "de")
        self.refused("batch = 0", lambda: next(self.translator.stream(TEXTS, "de", batch=0)))
        self.refused("must be told the language of the text", self.moe.translate, "a", self.target)
        self.refused("", strata_mt.import_model, self.folder / "nothing", self.folder / "new")
        self.refused("", strata_mt.bleu, ["a"], ["a", "b"])
        for wrong in (3, None, [3], ["a", None], b"bytes", {"a": "b"}, "\udc80", ["a", "\udc80"]):
            with self.assertRaisesRegex(TypeError, "^texts must be a str or a sequence of str(, without lone .*)?$"):
                self.translator.translate(wrong, "de")
        for wrong in (3, None, [3], ["a", None], b"bytes", ["a", "\udc80"]):
            with self.assertRaisesRegex(TypeError, "^texts must be a str or a sequence of str|not iterable$"):
                list(self.translator.stream(wrong, "de"))
        for wrong in (3, None, [3], b"bytes", "a text", ["\udc80"]):
            for name, call in (
                ("texts", lambda: full(wrong, "de")),
                ("texts", lambda: self.moe.route(wrong, self.target, self.source)),
                ("sources", lambda: self.translator.score(wrong, ["a"], "de")),
                ("targets", lambda: self.translator.score(["a"], wrong, "de")),
                ("hypotheses", lambda: strata_mt.bleu(wrong, ["a"])),
                ("references", lambda: strata_mt.bleu(["a"], wrong)),
                ("references", lambda: strata_mt.chrf(["a"], [["a"], wrong])),
            ):
                with self.assertRaisesRegex(TypeError, f"^{name} must be a sequence of str"):
                    call()
        # And it goes on.
        self.assertEqual(self.translator.translate(TEXTS, "de"), self.expected)

    def test_scores_have_signatures(self):
        score = strata_mt.bleu(["the cat sat on the mat"], ["the cat sat on a mat"])
        self.assertAlmostEqual(float(score), score.score)
        self.assertTrue(score.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:"))
        two = strata_mt.bleu(["the cat sat on the mat"], [["the cat sat on a mat"], ["the cat sat on the mat"]])
        self.assertAlmostEqual(two.score, 100.0)
        self.assertIn("nrefs:2", two.signature)
        self.assertIn("nw:2", strata_mt.chrf(["a cat"], ["a cat"], word_order=2).signature)
        self.assertGreater(
            strata_mt.bleu(["The Cat Sat on it"], ["the cat sat on it"], lowercase=True).score, 99.9
        )

    def test_eight_threads_translate_at_once(self):
        texts = [text for text in TEXTS if text] * 5
        expected = self.translator.translate(texts, "de")
        together = threading.Barrier(8)

        def translate(_):
            together.wait()
            return [self.translator.translate(texts, "de") for _ in range(3)]

        with ThreadPoolExecutor(8) as pool:
            for found in pool.map(translate, range(8)):
                self.assertEqual(found, [expected] * 3)

    def test_other_threads_run_during_a_translation(self):
        ended = threading.Event()
        thread = threading.Thread(target=lambda: (self.translator.translate(TEXTS * 400, "de"), ended.set()))
        thread.start()
        turns = 0
        while not ended.is_set() and turns < 5:
            time.sleep(0.01)
            turns += 1
        self.assertFalse(ended.is_set(), "the translation was over too soon to tell")
        thread.join()
        self.assertEqual(turns, 5)

    def test_control_c_ends_a_long_translation(self):
        # Shells make what they run in the background ignore Ctrl-C.
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
        timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
        started = time.monotonic()
        timer.start()
        with self.assertRaises(KeyboardInterrupt):
            self.translator.translate(TEXTS * 20_000, "de")
        self.assertLess(time.monotonic() - started, 30)
        self.assertEqual(self.translator.translate(TEXTS, "de"), self.expected)

    @unittest.skipUnless(hasattr(os, "fork"), "needs fork")
    def test_the_child_of_a_fork_is_told_so_and_can_open_its_own(self):
        # In a process of its own, since this one has threads that run.
        code = """if True:
            import os, sys
            from strata_mt import StrataError, Translator
            translator = Translator(sys.argv[1])
            translator.translate("a house", "de")
            child = os.fork()
            if child == 0:
                try:
                    translator.translate("a house", "de")
                    os._exit(1)
                except StrataError as error:
                    own = Translator(sys.argv[1]).translate("a house", "de")
                    os._exit(0 if "forked" in str(error) and isinstance(own, str) else 2)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
        ran = subprocess.run([sys.executable, "-c", code, str(self.folder / "marian")], timeout=60)
        self.assertEqual(ran.returncode, 0)

    def test_argos_translate_finds_what_it_uses_of_ctranslate2(self):
        # As argostranslate.translate calls it.
        translator = ctranslate2.Translator(
            str(self.folder / "marian"), device="cpu", inter_threads=1, intra_threads=0, compute_type="auto"
        )
        pieces = [self.translator.pieces(self.translator.encode(text)) for text in ("a house", "two cats")]
        found = translator.translate_batch(
            pieces,
            target_prefix=None,
            replace_unknowns=True,
            max_batch_size=32,
            batch_type="tokens",
            beam_size=4,
            num_hypotheses=2,
            length_penalty=0.2,
            return_scores=True,
        )
        expected = self.translator.translate_full(
            ["a house", "two cats"], "de", beam=4, nbest=2, length_penalty=0.2, max_length=257, min_length=2, whole_lines=True
        )
        for result, translations in zip(found, expected):
            wanted = [[token.piece for token in one.tokens if token.piece != "</s>"] for one in translations]
            self.assertEqual(result.hypotheses, wanted)
            self.assertEqual(result.tokens, wanted[0])
            self.assertEqual(result.scores, [one.score for one in translations])
        self.assertEqual(translator.translate_batch([]), [])
        prefixed = translator.translate_batch(pieces[:1], target_prefix=[pieces[1][:1]])[0]
        self.assertEqual((prefixed.hypotheses[0][:1], prefixed.scores), (pieces[1][:1], []))
        with self.assertRaises(ValueError):
            ctranslate2.Translator(self.folder / "marian", device="cuda")
        self.assertEqual(ctranslate2.get_cuda_device_count(), 0)


@unittest.skipUnless(BINARY, "needs STRATA_BINARY")
class CommandLine(unittest.TestCase):
    """The same as the command line, on an SMoE that it trains."""

    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory()
        cls.folder = Path(cls._folder.name)
        (cls.folder / "tiny.toml").write_text(RECIPE)
        cls.strata("fetch synthetic --languages 2 --pairs 500 --output bitext")
        cls.strata("prepare bitext --output prepared --vocab-size 400")
        cls.strata("train tiny.toml")
        cls.translator = Translator(cls.folder / "run")

    @classmethod
    def tearDownClass(cls):
        cls._folder.cleanup()

    @classmethod
    def strata(cls, arguments, text="", code=0):
        ran = subprocess.run(
            [BINARY, *arguments.split()], cwd=cls.folder, input=text.encode(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert ran.returncode in (code, 1 - code), (arguments, ran)
        return ran.stdout.decode()

    def test_translations_are_equal_byte_for_byte(self):
        given = "\n".join(TEXTS) + "\n"
        found = self.translator.translate(TEXTS, "qaa")
        self.assertEqual("\n".join(found) + "\n", self.strata("translate run --to qaa", given))

    def test_so_are_scores_and_subwords(self):
        lines = self.strata("translate run --to qaa --json --nbest 3 --alignments", "\n".join(TEXTS) + "\n")
        found = self.translator.translate_full(TEXTS, "qaa", nbest=3, alignment=True)
        for line, translations in zip(map(json.loads, lines.splitlines()), found):
            self.assertEqual(len(line["translations"]), len(translations))
            for expected, one in zip(line["translations"], translations):
                self.assertEqual(expected["text"], one.text)
                self.assertEqual(np.float32(expected["score"]), np.float32(one.score))
                self.assertEqual([list(pair) for pair in one.alignment], expected.get("alignment", []))
                pieces = [(token["piece"], np.float32(token["score"])) for token in expected.get("tokens", [])]
                self.assertEqual([(token.piece, np.float32(token.score)) for token in one.tokens], pieces)
            self.assertEqual(line.get("warnings", []), [one.warning for one in translations if one.warning])

    def test_errors_have_its_words(self):
        ran = subprocess.run([BINARY, "translate", "run", "--to", "xx"], cwd=self.folder, capture_output=True, input=b"")
        with self.assertRaises(StrataError) as caught:
            self.translator.translate("a", "xx")
        self.assertEqual(ran.stderr.decode().strip(), f"error: {caught.exception}")

    def test_tokens_visit_strata(self):
        route = self.translator.route(["The old dog sees the cat."], "qaa")[0][0]
        for side in (route.source, route.target):
            self.assertEqual(side.experts.shape[2:], (2, 2))
            visited = (side.experts[..., 0] >= 0).sum(axis=2)
            self.assertTrue((visited == side.strata).all())
            self.assertTrue((side.experts[:, :, 1] != 0).all() and side.experts.max() < 4)


if __name__ == "__main__":
    unittest.main()
