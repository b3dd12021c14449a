#!/usr/bin/env python3
"""CTranslate2 on the CPU, for bench/translate.sh: a dense Transformer with random weights and fixed lengths, or a model that
`strata export --format ctranslate2` wrote, on lines of text.

    peer_ctranslate2.py [--layers 6 --d-model 512 ...] [--precision int8] [--batch 32] [--beam 4]
    peer_ctranslate2.py --model FOLDER --tokenizer tokenizer.json --text FILE --to de [--precision int8] [--batch 32] [--beam 4] [--output FILE]

FILE holds a sentence a line; tokenizer.json is that of the model folder. Prints one JSON line, with the keys of `strata bench text`.
Needs the package `ctranslate2` (4.8 was used) and numpy, for text also `tokenizers`.
"""
import argparse
import json
import resource
import statistics
import tempfile
import time

import ctranslate2
import numpy as np
from ctranslate2.specs import TransformerSpec, common_spec


def arguments():
    parser = argparse.ArgumentParser()
    shape = dict(layers=6, d_model=512, d_ffn=2048, heads=8, vocab=32000, sentences=64, source_length=24, target_length=30)
    for name, default in {**shape, **dict(batch=32, beam=4, threads=2, runs=3, max_length=100)}.items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=default)
    parser.add_argument("--precision", choices=["f32", "int8"], default="f32")
    for name in ("model", "tokenizer", "text", "to", "output"):
        parser.add_argument("--" + name)
    return parser.parse_args()


def random_model(a, folder):
    """The shape that `strata bench translate` runs, with weights that keep hidden states at their size."""
    random = np.random.default_rng(0)
    weights = lambda outputs, inputs: random.uniform(-1, 1, (outputs, inputs)).astype(np.float32) * (3 / inputs) ** 0.5
    spec = TransformerSpec.from_config(a.layers, a.heads, pre_norm=True, activation=common_spec.Activation.RELU)

    def linear(part, inputs, outputs):
        part.weight, part.bias = weights(outputs, inputs), np.zeros(outputs, np.float32)

    def norm(part):
        part.gamma, part.beta = np.ones(a.d_model, np.float32), np.zeros(a.d_model, np.float32)

    d, table = a.d_model, weights(a.vocab, a.d_model)
    for side in (spec.encoder, spec.decoder):
        embeddings = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        embeddings.weight, side.scale_embeddings = table, True
        norm(side.layer_norm)
        for layer in side.layer:
            norm(layer.self_attention.layer_norm)
            linear(layer.self_attention.linear[0], d, 3 * d)
            linear(layer.self_attention.linear[1], d, d)
            if side is spec.decoder:
                norm(layer.attention.layer_norm)
                linear(layer.attention.linear[0], d, d)
                linear(layer.attention.linear[1], d, 2 * d)
                linear(layer.attention.linear[2], d, d)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, d, a.d_ffn)
            linear(layer.ffn.linear_1, a.d_ffn, d)
    spec.decoder.projection.weight, spec.decoder.projection.bias = table, np.zeros(a.vocab, np.float32)
    words = ["<blank>", "<s>", "</s>", "<unk>"] + [f"t{i}" for i in range(a.vocab - 4)]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.validate()
    spec.optimize(quantization=None)
    spec.save(folder)
    return [[f"t{random.integers(a.vocab - 4)}" for _ in range(a.source_length)] for _ in range(a.sentences)]


class Texts:
    """Lines of text to pieces and back, with the model's own tokenizer."""

    def __init__(self, a):
        from tokenizers import Tokenizer

        with open(a.tokenizer, encoding="utf-8") as file:
            spec = json.load(file)
        spec.pop("strata", None)  # of models prepared by older versions; the library takes no keys that it does not know
        self.tokenizer, self.tag = Tokenizer.from_str(json.dumps(spec)), f"<2{a.to}>"
        with open(a.text, encoding="utf-8") as file:
            self.lines = [line.rstrip("\n") for line in file]

    def encode(self, lines):
        return [[self.tag, *e.tokens, "</s>"] for e in self.tokenizer.encode_batch(lines, add_special_tokens=False)]

    def decode(self, hypotheses):
        return [self.tokenizer.decoder.decode(h) for h in hypotheses]


class Pieces:
    """Random pieces as they are."""

    tag = None

    def __init__(self, lines):
        self.lines = lines

    def encode(self, lines):
        return lines

    decode = encode


def main():
    a = arguments()
    options = dict(beam_size=a.beam, max_batch_size=a.batch)
    if a.model:
        folder, source = a.model, Texts(a)
        options |= dict(length_penalty=1.0, max_decoding_length=a.max_length, min_decoding_length=0)
    else:
        folder = tempfile.mkdtemp()
        source = Pieces(random_model(a, folder)[: 8 if a.batch == 1 else a.sentences])
        options |= dict(min_decoding_length=a.target_length, max_decoding_length=a.target_length, length_penalty=0)
    compute = "int8" if a.precision == "int8" else "float32"
    translator = ctranslate2.Translator(folder, device="cpu", compute_type=compute, intra_threads=a.threads, inter_threads=1)
    lines = source.lines

    def run():
        """One sentence after another with batch 1: each call's time is a latency."""
        hypotheses, texts, calls, search = [], [], [], 0
        for start in range(0, len(lines), 1 if a.batch == 1 else len(lines)):
            part = lines[start : start + 1 if a.batch == 1 else len(lines)]
            begun = time.perf_counter()
            pieces = source.encode(part)
            searching = time.perf_counter()
            prefix = dict(target_prefix=[[source.tag]] * len(part)) if source.tag else {}
            results = translator.translate_batch(pieces, **options, **prefix)
            search += time.perf_counter() - searching
            found = [result.hypotheses[0] for result in results]
            if source.tag:
                found = [h[1:] if h[:1] == [source.tag] else h for h in found]
            texts += source.decode(found)
            calls.append(time.perf_counter() - begun)
            hypotheses += found
        return search, calls, hypotheses, texts

    run()
    runs = [run() for _ in range(a.runs)]
    _, _, hypotheses, texts = runs[0]
    tokens = sum(map(len, hypotheses))
    search, whole = sorted(r[0] for r in runs), sorted(sum(r[1]) for r in runs)
    report = dict(peer="ctranslate2 " + ctranslate2.__version__, precision=compute, batch=a.batch, beam=a.beam, sentences=len(lines), tokens=tokens,
                  tokens_per_second=tokens / search[0], tokens_per_second_median=tokens / statistics.median(search),
                  text_tokens_per_second=tokens / whole[0], text_tokens_per_second_median=tokens / statistics.median(whole),
                  ms_per_sentence=whole[0] / len(lines) * 1e3,
                  peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if a.batch == 1:
        each = sorted(second * 1e3 for r in runs for second in r[1])
        report |= dict(latency_p50_ms=each[round(0.5 * (len(each) - 1))], latency_p95_ms=each[round(0.95 * (len(each) - 1))])
    if a.output:
        with open(a.output, "w", encoding="utf-8") as file:
            file.writelines(text + "\n" for text in texts)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
