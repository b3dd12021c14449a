"""Translates and scores with the ctranslate2 package: a job comes as JSON, results go as JSON."""

import json
import sys

import ctranslate2

job = json.load(sys.stdin)
translator = ctranslate2.Translator(job["model"], device="cpu", compute_type="float32", intra_threads=1)
tag, sources, targets = job["tag"], job["sources"], job["targets"]
searches = []
for search in job["searches"]:
    found = translator.translate_batch(
        sources,
        target_prefix=[[tag]] * len(sources),
        beam_size=search["beam"],
        num_hypotheses=search["beam"],
        length_penalty=search["length_penalty"],
        max_decoding_length=search["longest"],
        min_decoding_length=0,
        return_scores=True,
    )
    searches.append([list(zip(result.hypotheses, result.scores)) for result in found])
scored = translator.score_batch(sources, [[tag, *target] for target in targets])
json.dump({"searches": searches, "scores": [result.log_probs for result in scored]}, sys.stdout)
