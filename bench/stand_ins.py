"""Which words a model passes through: each in eleven sentences, once or twice, and how many translations have it still.

    python bench/stand_ins.py target/release/strata runs/quickstart de,fr,en
"""

import subprocess
import sys

SENTENCES = """Open {} now.
Click {} to close the window.
The file {} cannot be opened.
See {} for details.
Type {} and press Enter.
Copy {} to the folder.
{} is not installed.
Use {} or {} here.
The option {} prints the version of {}.
You can find more about this in {}, which is part of the package.
Haha, click {} and close the window.""".splitlines()
WORDS = """XML HTML|Debian Linux|X1 X2|USB DVD|1 2|12 34|7301 8402|(1) (2)|[1] [2]|{0} {1}|<1> <2>|%s %d|%1 %2|$1 $2|@1 @2|A1 A2|
XX1 XX2|ABC XYZ|Q W""".replace("\n", "").split("|")


def main():
    strata, model, languages = sys.argv[1:4]
    cases = []
    for words in WORDS:
        for sentence in SENTENCES:
            used = words.split()[: sentence.count("{}")]
            cases.append((words, used, filled(sentence, used)))
    for language in languages.split(","):
        command = [strata, "translate", model, "--whole-lines", "--to", language, "-q"]
        lines = "\n".join(text for _, _, text in cases) + "\n"
        found = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
        kept = {words: 0 for words in WORDS}
        for (words, used, _), line in zip(cases, found):
            kept[words] += all(line.count(word) == 1 for word in used)
        print(language, ", ".join(f"{words}: {count}" for words, count in sorted(kept.items(), key=lambda k: -k[1])))


def filled(sentence, words):
    """The sentence with its words, whatever braces they have."""
    pieces = sentence.split("{}")
    return pieces[0] + "".join(word + piece for word, piece in zip(words, pieces[1:]))


main()
