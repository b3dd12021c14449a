"""Does requested capacity follow difficulty? Strata visited by words that take one look-up to translate, or several.

    strata fetch dictionaries --steps 4 --output data/dictionaries
    strata prepare data/dictionaries --subword-kind bpe --vocab-size 2808 --output data/dictionaries-prepared
    strata train ... ; python bench/capacity_by_steps.py RUN data/dictionaries-prepared data/dictionaries/steps.tsv

Prints, for each expert block of the encoder, the mean requested capacity of the words of each number of steps, and the
number of words it is of. The decoder reads target words, which all steps share, so its blocks are left out. STRATA
names the program to run.
"""

import collections
import json
import os
import subprocess
import sys


def main(model, data, steps_file):
    steps = dict(line.split() for line in open(steps_file, encoding="utf-8"))
    strata = os.environ.get("STRATA", "strata")
    # More subwords than a vocabulary has: then each list has half of the words, and both have all but one at most.
    all_words = ["--subwords", "1000000", "--min-count", "1", "--json"]
    out = subprocess.run([strata, "analyze", model, data, *all_words], stdout=subprocess.PIPE, check=True).stdout
    analysis = json.loads(out)
    encoder = [place for place, block in enumerate(analysis["blocks"]) if block["side"] == "encoder"]
    for place in encoder:
        capacity, words = collections.Counter(), collections.Counter()
        for direction in analysis["directions"]:
            if direction["source"] != "en":
                continue
            lists = direction["subwords"][place]
            for word in lists["highest"] + lists["lowest"]:
                number = steps.get(word["piece"].lstrip("▁"))
                if number:
                    capacity[number] += word["requested_capacity"] * word["count"]
                    words[number] += word["count"]
        layer = analysis["blocks"][place]["layer"]
        for number in sorted(words):
            mean = capacity[number] / words[number]
            print(f"encoder layer {layer}  {number} steps  RC {mean:.3f}  of {words[number]:,} words")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
