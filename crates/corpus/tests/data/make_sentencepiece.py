#!/usr/bin/env python3
"""Makes SentencePiece models and the pieces that SentencePiece itself cuts, for tests/sentencepiece.rs.

    make_sentencepiece.py OUT                 the small fixtures beside this script, from text made up here
    make_sentencepiece.py OUT TEXT...         larger ones from your own text files, to be compared with
                                              STRATA_SENTENCEPIECE=OUT cargo test -p strata-mt-corpus --test sentencepiece

Needs `pip install sentencepiece`.
"""
import json
import random
import sys
from pathlib import Path

import sentencepiece as spm

WORDS = {
    "latin": "the river carries small boats over cold water and every child waits on the old bridge until évening".split(),
    "german": "der Fluss trägt kleine Boote über kaltes Wasser größer als gestern".split(),
    "cyrillic": "река несёт маленькие лодки по холодной воде до старого моста".split(),
    "greek": "το ποτάμι κουβαλά μικρές βάρκες πάνω στο κρύο νερό".split(),
    "kana": "川は 小さな 船を 冷たい 水の 上に 運びます".split(),
    "hindi": "नदी ठंडे पानी पर छोटी नावें ले जाती है क़िला".split(),
    "marks": ["2024", "3.14", "--", "(", ")", "...", "Ⅷ", "ﬁne", "①", "½", "½½", "e\u0301te\u0301", "Ａ１", "<b>", "</s>", "aaaaaaa", "====="],
}
ODD = [
    "", " ", "  two   spaces ", "\ttab\tand\u00a0more\u3000", "never seen ☃ 𝄞 𐍈 glyphs", "▁mark ▁▁ in text▁", "<s> <2de> </s> <unk> <0x41>",
    "aaaa aaaaa aaaaaa aaaaaaaaaaaaa", "============= == ===", "क़ ड़ ढ़ क\u093c ड\u093c", "\u200bzero\u200bwidth\ufeff", "é e\u0301 ẹ\u0302", "한국어 ㄱㅏ",
    "a\u0308\u0323 \u1e69 s\u0323\u0307", "ﷺ ℃ ㍿ ﬃ", "\u0001control\u007f", "\u0915\u093c\u093c \u0915\u093c", "x" * 300, "<sep>inside<sep> and<sep>", "<sep><sep>",
]


# Normalization rules of our own (code points in hexadecimal), so that the fixtures carry nobody else's tables.
RULES = {
    "FB01": "66 69", "FF21": "41", "2460": "31", "BD": "31 2044 32", "65 301": "E9", "958": "915 93C", "915 93C 93C": "915",
    "9": "20", "A0": "20", "3000": "20 20", "200B": "", "FEFF": "", "7F": "", "1": "", "FDFA": "35 20 36",
}


def made_up(n, seed):
    rng = random.Random(seed)
    lines = []
    for _ in range(n):
        words = []
        for _ in range(rng.randint(2, 12)):
            words.append(rng.choice(WORDS[rng.choice(list(WORDS))]))
        lines.append(" ".join(words))
    return lines


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 2:
        lines, sample = [], []
        for path in sys.argv[2:]:
            text = Path(path).read_text(encoding="utf-8").split("\n")[:-1]
            random.Random(1).shuffle(text)
            lines += text[:4000]
            sample += text[4000:4400] if len(text) > 4400 else text[-300:]
        size, cases = 8000, sample + ODD + made_up(50, 2)
    else:
        lines, size = made_up(600, 1), 420
        cases = ODD + made_up(20, 2)
    text = out / "text.tmp"
    text.write_text("\n".join(lines), encoding="utf-8")
    common = dict(input=str(text), vocab_size=size, minloglevel=2, num_threads=1, character_coverage=0.998, hard_vocab_limit=False)
    kinds = {
        "unigram": dict(model_type="unigram"),
        "unigram-bytes": dict(model_type="unigram", byte_fallback=True, vocab_size=size + 256, user_defined_symbols=["<sep>"]),
        "bpe": dict(model_type="bpe"),
        "bpe-bytes": dict(model_type="bpe", byte_fallback=True, vocab_size=size + 256, user_defined_symbols=["<sep>"]),
        "unigram-plain": dict(model_type="unigram", normalization_rule_name="identity", remove_extra_whitespaces=False),
        "bpe-open": dict(model_type="bpe", add_dummy_prefix=False, normalization_rule_name="nmt_nfkc_cf"),
    }
    for name, options in kinds.items():
        if len(sys.argv) == 2:
            rules = out / "rules.tmp"
            rules.write_text("".join(f"{a}\t{b}\n" for a, b in RULES.items()))
            if name != "unigram-plain":
                options = {**options, "normalization_rule_tsv": str(rules)}
            if name in ("unigram-plain", "bpe-open"):
                options = {**options, "vocab_size": 360}
        options = {**common, **options}
        if options["model_type"] == "bpe":
            options.pop("hard_vocab_limit")
        prefix = out / name
        spm.SentencePieceTrainer.train(model_prefix=str(prefix), **options)
        (out / f"{name}.vocab").unlink()
        model = spm.SentencePieceProcessor(model_file=f"{prefix}.model")
        with open(out / f"{name}.jsonl", "w", encoding="utf-8") as f:
            for case in cases:
                pieces = model.encode(case, out_type=str)
                row = [case, pieces, model.decode(model.encode(case))]
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
    text.unlink()
    (out / "rules.tmp").unlink(missing_ok=True)


main()
