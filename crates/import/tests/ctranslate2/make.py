#!/usr/bin/env python3
"""Converts the golden model `marian-apart` to CTranslate2, in f32, f16 and int8, and translates with the first of them.
Needs ctranslate2, transformers, torch and sentencepiece.

usage: make.py GOLDEN FOLDER
"""

import json
import shutil
import sys
from pathlib import Path

import ctranslate2
import sentencepiece
from ctranslate2.converters import TransformersConverter

golden, folder = Path(sys.argv[1]), Path(sys.argv[2])
for name, quantization in [("f32", None), ("f16", "float16"), ("int8", "int8")]:
    shutil.rmtree(folder / name, ignore_errors=True)
    TransformersConverter(str(golden / "marian-apart")).convert(str(folder / name), quantization=quantization)

cut = sentencepiece.SentencePieceProcessor(model_file=str(golden / "marian-apart" / "source.spm"))
translator = ctranslate2.Translator(str(folder / "f32"), compute_type="float32", intra_threads=1)
lines = []
for text in ["The house is small.", "We read a book in the garden.", "Open the file, please!"]:
    found = translator.translate_batch(
        [cut.encode(text, out_type=str) + ["</s>"]], beam_size=4, num_hypotheses=4, return_scores=True,
        max_decoding_length=12, min_decoding_length=0, length_penalty=1,
    )[0]
    lines.append(dict(text=text, hypotheses=found.hypotheses, scores=[round(score, 6) for score in found.scores]))
(folder / "expected.json").write_text(json.dumps(lines, ensure_ascii=False, indent=1) + "\n", encoding="utf8")
