"""Runs the same scoring jobs through sacreBLEU and through our example `score`, and compares. See check_sacrebleu.sh."""

import argparse
import itertools
import json
import logging
import math
import random
import subprocess
import sys

import sacrebleu
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

# Our own sentences: scripts, numbers, punctuation, entities and white space that tokenizers trip over.
SENTENCES = """
The old bridge was closed on 3 March, because its cables had rusted.
Prices rose by 2.5% to $1,299.99 (about €1.200) - a record since 1998.
"Don't you dare," she said, "open that e-mail/attachment!"
Der Zug nach Köln fährt um 8:45 Uhr von Gleis 7 ab; bitte „Vorsicht“ an der Bahnsteigkante.
Où est passée l'échelle ? Elle était là, n'est-ce pas : contre le mur…
¿Quién compró 1.000.000 de tornillos? ¡Nadie lo sabe!
Старый мост закрыли 3 марта: «тросы проржавели», — пояснил инженер.
Ο παλιός δρόμος ΤΕΛΟΣ, Σίσυφος ΣΑΣ και ΟΔΟΣ· άνοιξε στις 12.30;
旧桥于3月3日关闭，因为缆索生锈了。请参阅“说明.pdf”（第12页）。
古い橋は3月3日に閉鎖された。「ケーブルが錆びたため」と技師は語った…ｶﾀｶﾅ ＡＢＣ１２３！
다리가 3월 3일에 폐쇄되었습니다. (케이블 부식)
أُغلق الجسر القديم في ٣ مارس، لأن الكابلات صدئت؟ نعم؛ ٢٫٥٪.
پل قدیمی در ۳ مارس بسته شد؛ می‌خواهم «بدانم» چرا؟
पुराना पुल ३ मार्च को बंद हुआ। क्यों?
สะพานเก่าปิดเมื่อวันที่ ๓ มีนาคม ฿1,500.50
Cây cầu cũ bị đóng cửa ngày 3/3 - dây cáp bị gỉ.
İstanbul'da IŞIK ve ılık çay: 25 °C, %10 indirim!
Klikk &quot;Lagre&quot; &amp; lukk &lt;vinduet&gt; &amp;lt; n&aring;.
A<skipped>B <?> {x} [y] |z| ~t ^u_v `w` a\\b @c #d *e +f =g ;h
1,2 3.4 5-6 7- -8 9., .,1 2,.3 ..4.. a-b a- -b 1-a a-1 10-,5
😀 👩‍👩‍👧 emoji 👍🏽! café naïve Å x² ½ Ⅷ ① ™ © ± × ÷ → ∞ ≠
Zero\u200bwidth soft\u00adhyphen no\u00a0break\u202fspace thin\u2009ideo\u3000graphic \ufeffbom \u2028line
𝐌𝐚𝐭𝐡 𝟙𝟚.𝟛 𠀀𠮷野家 🂡 𐍈 𑁦
Digits elsewhere: ٣-٤ ½-cup ²- ٣,٤ ½.5 5,٤ 3-½ ४.५ Ⅷ.Ⅸ, x²,y³. १-२
don't won’t l'été d’accord rock 'n' roll 'quoted' ''double'' “a”
...
.
Yes.
a
-
\u0085tab\there\u001cfs\u001fus  double  spaces \u3000
See www.example.org/path?x=1&y=2#top or write to info@example.org.
The file (see Fig. 3.1) is 12,5 MB; the U.S. one isn't.
MiXeD CaSe ẞtraße ǅ ŉ ﬁne ΌΣΟΣ. Σ ΑΣ1 ΑΣ' Σα
""".strip("\n").split("\n")
SENTENCES += ["", " ", "  trailing spaces \t "]

PIECES = list("abcAZßéİΣςσжЖ") + list("0123456789") + list(".,.,.,-–—'\"!?:;/\\()[]{}<>@#$%^&*_+=|~`") + [
    " ", " ", " ", " ", "  ", "\t", "\u00a0", "\u3000", "\u001c", "\u200b", "&quot;", "&amp;", "&lt;", "&gt;", "<skipped>", "-\n", "\n",
    "中", "文", "。", "，", "「", "あ", "ﾊ", "한", "ع", "،", "٣", "۴", "٫", "ा", "।", "\u0301", "\u200d", "½", "²", "Ⅷ", "€", "™", "→",
    "…", "“", "’", "«", "𠀀", "𝟙", "😀", "🏽", "\U00010100", "\u2a6d", "\u2a6e", "\u2f80", "\u2f81", "\u2fa2", "\u2001", "\u2000", "\ufa2e", "\U0001d7ff",
]


def generated_line(rng):
    return "".join(rng.choice(PIECES) for _ in range(rng.choice([0, 1, 2, 3, 5, 8, 20, 60])))


def random_character_line(rng):
    """Any characters whatever, surrogates excepted."""
    points = (rng.choice([rng.randrange(0x3100), rng.randrange(0x10000), rng.randrange(0x110000)]) for _ in range(rng.randrange(30)))
    return "".join(chr(p) for p in points if not 0xD800 <= p < 0xE000)


def perturbed(line, rng, strength):
    """A hypothesis: the line with words dropped, swapped, doubled, recased, cut."""
    words = line.split(" ")
    for _ in range(len(words)):
        if not words or rng.random() > strength:
            continue
        i = rng.randrange(len(words))
        what = rng.randrange(6)
        if what == 0:
            del words[i]
        elif what == 1:
            j = rng.randrange(len(words))
            words[i], words[j] = words[j], words[i]
        elif what == 2:
            words.insert(i, words[i])
        elif what == 3:
            words[i] = words[i].swapcase()
        elif what == 4:
            words[i] = words[i][: len(words[i]) // 2]
        else:
            words[i] += rng.choice([".", ",", "-", "!", "3"])
    return " ".join(words)


def systems_and_references(lines, rng):
    return {
        "systems": {
            "good": [perturbed(line, rng, 0.15) for line in lines],
            "close": [perturbed(line, rng, 0.17) for line in lines],
            "bad": [perturbed(line, rng, 0.6) for line in lines],
            "shuffled": ["".join(rng.sample(line, len(line))) for line in lines],
            "same": list(lines),
            "other": lines[1:] + lines[:1],
            "empty": [""] * len(lines),
        },
        "references": [list(lines), [perturbed(line, rng, 0.2) for line in lines], [perturbed(line, rng, 0.4) for line in lines]],
    }


def bleu(**options):
    defaults = dict(tokenize="13a", lowercase=False, smooth_method="exp", smooth_value=None, effective_order=False, max_ngram_order=4)
    return {"kind": "bleu", **defaults, **options}


def chrf(**options):
    return {"kind": "chrf", **dict(char_order=6, word_order=0, beta=2, lowercase=False, whitespace=False, eps_smoothing=False), **options}


BLEUS = (
    [bleu(tokenize=t, lowercase=lower) for t in ("13a", "intl", "zh", "char", "none") for lower in (False, True)]
    + [bleu(smooth_method=m, smooth_value=v) for m, v in
       [("none", None), ("floor", None), ("floor", 0.01), ("floor", 0.0), ("add-k", None), ("add-k", 0.5)]]
    + [bleu(effective_order=True), bleu(effective_order=True, smooth_method="floor"), bleu(effective_order=True, smooth_method="add-k")]
    + [bleu(max_ngram_order=n, effective_order=e) for n in (1, 2, 6) for e in (False, True)]
)
CHRFS = [
    chrf(), chrf(word_order=2), chrf(lowercase=True), chrf(whitespace=True), chrf(eps_smoothing=True), chrf(word_order=2, eps_smoothing=True),
    chrf(char_order=3, beta=1), chrf(char_order=0, word_order=2), chrf(char_order=1, word_order=4, beta=3), chrf(beta=0), chrf(word_order=1, lowercase=True),
]


def jobs_for(samples, trials, thorough):
    metrics = BLEUS + CHRFS
    systems = ["good", "bad", "shuffled", "same", "other", "empty"] if thorough else ["good", "bad"]
    jobs = [dict(run="tokens", metric=bleu(tokenize=t), system="same", references=1) for t in ("13a", "intl", "zh", "char", "none")]
    for i, metric in enumerate(metrics):
        for j, system in enumerate(systems):
            counts = (1, 2, 3) if thorough else (1 + (i + j) % 3,)
            for references in counts:
                jobs.append(dict(run="corpus", metric=metric, system=system, references=references))
        jobs.append(dict(run="sentences", metric=metric, system=systems[i % len(systems)], references=1 + i % 3))
    tested = [bleu(), bleu(smooth_method="add-k", smooth_value=0.5), bleu(tokenize="char", smooth_method="floor"), chrf(), chrf(word_order=2),
              chrf(eps_smoothing=True)]
    pairs = [("good", "close"), ("good", "bad"), ("good", "good")] + ([("other", "shuffled"), ("bad", "empty")] if thorough else [])
    for metric in tested:
        jobs.append(dict(run="confidence", metric=metric, system="good", references=1, samples=samples))
        for k, (baseline, system) in enumerate(pairs):
            common = dict(metric=metric, baseline=baseline, system=system, references=1 + k % 2)
            jobs.append(dict(run="paired_bs", samples=samples, **common))
            jobs.append(dict(run="paired_ar", samples=trials, confidence_samples=[None, 50][k % 2], **common))
    return jobs


def sacrebleu_answer(document, job):
    options = {k: v for k, v in job["metric"].items() if k != "kind"}
    of_bleu = job["metric"]["kind"] == "bleu"
    make = (lambda: BLEU(**options)) if of_bleu else (lambda: CHRF(**options))
    metric = make()
    references = document["references"][: job["references"]]
    hypotheses = document["systems"][job["system"]]
    if job["run"] == "tokens":
        return [metric.tokenizer(line) for line in hypotheses]
    if job["run"] == "corpus":
        score = metric.corpus_score(hypotheses, references)
        signature = metric.get_signature()
        answer = {"line": score.format(signature=str(signature)), "short": signature.format(short=True), "score": float(score.score)}
        if of_bleu:
            # The counts before smoothing, where sacreBLEU keeps those after it.
            totals = [sum(column) for column in zip(*metric._extract_corpus_statistics(hypotheses, references))]
            order = options["max_ngram_order"]
            answer.update(precisions=score.precisions, bp=score.bp, ratio=float(score.ratio), lengths=[score.sys_len, score.ref_len],
                          matches=totals[2 : 2 + order], ngrams=totals[2 + order :])
        return answer
    if job["run"] == "sentences":
        return [metric.sentence_score(h, list(r)).format() for h, r in zip(hypotheses, zip(*references))]
    if job["run"] == "confidence":
        score = metric.corpus_score(hypotheses, references, n_bootstrap=job["samples"])
        return score.format(signature=str(metric.get_signature()))
    named = [("baseline", document["systems"][job["baseline"]]), ("system", hypotheses)]
    test = PairedTest(named, {"metric": metric}, references, test_type=job["run"][-2:], n_samples=job["samples"],
                      n_ar_confidence=job.get("confidence_samples") or -1)
    signatures, results = test()
    (name, signature), = signatures.items()
    baseline, system = results[name]
    value = lambda x: None if x is None else float(x)
    side = lambda r: {"score": float(r.score), "mean": value(r.mean), "ci": value(r.ci)}
    return {"baseline": side(baseline), "system": side(system), "p": float(system.p_value), "signature": str(signature)}


def difference(path, theirs, ours, worst):
    """The first difference, or None. `worst` keeps the largest relative difference between floats."""
    if isinstance(theirs, float) or isinstance(ours, float):
        if theirs is None or ours is None:
            return f"{path}: {theirs} against {ours}"
        relative = 0.0 if theirs == ours else abs(theirs - ours) / max(abs(theirs), 1e-300)
        worst[0] = max(worst[0], relative)
        exact = path.endswith(".p")
        return f"{path}: {theirs!r} against {ours!r}" if relative > (0 if exact else 1e-12) or math.isnan(relative) else None
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return next(filter(None, (difference(f"{path}[{i}]", a, b, worst) for i, (a, b) in enumerate(zip(theirs, ours)))), None)
    if isinstance(theirs, dict) and isinstance(ours, dict) and theirs.keys() == ours.keys():
        return next(filter(None, (difference(f"{path}.{k}", theirs[k], ours[k], worst) for k in theirs)), None)
    return None if theirs == ours else f"{path}: {theirs!r} against {ours!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--score", required=True, help="path of our example `score`")
    parser.add_argument("--fixture", required=True, help="where --record writes")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--lines", type=int, default=1000, help="lines of each set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="*", help="text files, each scored as references")
    args = parser.parse_args()
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)
    rng = random.Random(args.seed)

    if args.record:
        document = systems_and_references(SENTENCES, rng)
        document["jobs"] = jobs_for(100, 100, False)
        document["expected"] = [sacrebleu_answer(document, job) for job in document["jobs"]]
        del document["systems"]["shuffled"], document["systems"]["other"], document["systems"]["empty"]
        with open(args.fixture, "w", encoding="utf-8") as file:
            # One line a job, so that a change can be read.
            parts = [f'"{k}": {json.dumps(document[k], ensure_ascii=True)}' for k in ("systems", "references")]
            for k in ("jobs", "expected"):
                parts.append(f'"{k}": [\n' + ",\n".join(json.dumps(x, ensure_ascii=True) for x in document[k]) + "\n]")
            file.write("{\n" + ",\n".join(parts) + "\n}\n")
        print(f"recorded {len(document['jobs'])} answers of sacreBLEU {sacrebleu.__version__} in {args.fixture}")
        return 0

    sets = {"own sentences": SENTENCES, "one line": SENTENCES[:1],
            "generated": [generated_line(rng) for _ in range(args.lines)],
            "any characters": [random_character_line(rng) for _ in range(args.lines)]}
    for path in args.files:
        with open(path, encoding="utf-8", newline="\n") as file:
            lines = [line.rstrip("\n") for line in file]
        sets[path] = rng.sample(lines, min(args.lines, len(lines)))
    failed = 0
    for name, lines in sets.items():
        document = systems_and_references(lines, rng)
        document["jobs"] = jobs_for(200, 300, True)
        found = subprocess.run([args.score], input=json.dumps(document).encode(), stdout=subprocess.PIPE, check=True).stdout
        answers = json.loads(found)
        differing, worst = [], [0.0]
        for job, ours in zip(document["jobs"], answers):
            try:
                theirs = sacrebleu_answer(document, job)
            except TypeError as error:  # its mean of single and double floats, for chrF scores some of which are 0
                print(f"    sacreBLEU failed on {job}: {error}")
                continue
            wrong = difference("answer", theirs, ours, worst)
            if wrong:
                differing.append(f"{job}: {wrong}")
        failed += len(differing)
        print(f"{name}: {len(lines)} lines, {len(answers)} answers, {len(differing)} differ; floats within {worst[0]:.1e}", flush=True)
        for line in itertools.islice(differing, 10):
            print("   ", line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
