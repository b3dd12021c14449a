#!/usr/bin/env python3
"""Other people's clients against a translation server: libretranslatepy and deepl, as they are on the Python package index.

    pip install libretranslatepy deepl
    bench/serve_clients.py http://127.0.0.1:5000 SOURCE TARGET "TEXT" [KEY]

Prints what each call gave; ends with an error at the first that fails.
"""

import sys
import tempfile
from pathlib import Path

import deepl
from libretranslatepy import LibreTranslateAPI

url, source, target, text = sys.argv[1:5]
key = sys.argv[5] if len(sys.argv) > 5 else None

libre = LibreTranslateAPI(url, api_key=key)
languages = libre.languages()
assert any(language["code"] == source and target in language["targets"] for language in languages), languages
translated = libre.translate(text, source, target)
assert isinstance(translated, str) and translated, translated
print("libretranslatepy translate:", translated)
detected = libre.detect(text)
assert set(detected[0]) == {"confidence", "language"}, detected
print("libretranslatepy detect:", detected)

client = deepl.DeepLClient(key or "none", server_url=url)
result = client.translate_text(text, source_lang=source.upper(), target_lang=target.upper())
assert result.text == translated, (result.text, translated)
print("deepl translate_text:", result.text, result.detected_source_lang)
results = client.translate_text([text, text], target_lang=target.upper())
assert [result.text for result in results] == [translated, translated], results
html = client.translate_text(f"<p>{text}</p>", target_lang=target.upper(), tag_handling="html")
assert html.text == f"<p>{translated}</p>", html.text
print("deepl languages:", [language.code for language in client.get_target_languages()])
xml = client.translate_text(f"<p><x>{text}</x></p><p>{text}</p>", source_lang=source.upper(), target_lang=target.upper(),
                            tag_handling="xml", ignore_tags=["x"])
assert xml.text == f"<p><x>{text}</x></p><p>{translated}</p>", xml.text
try:
    client.translate_text(text, target_lang=target.upper(), formality="more")
    raise SystemExit("formality was taken without effect")
except deepl.DeepLException as error:
    print("deepl error:", error)
# Formatting is kept in any case.
kept = client.translate_text(text, target_lang=target.upper(), preserve_formatting=True)
assert kept.text == translated, kept.text
with tempfile.TemporaryDirectory() as folder:
    given, got = Path(folder, "a.html"), Path(folder, "b.html")
    given.write_text(f"<p>{text}</p>")
    client.translate_document_from_filepath(given, got, source_lang=source.upper(), target_lang=target.upper())
    assert got.read_text() == f"<p>{translated}</p>", got.read_text()
print("deepl document: translated")
if any(pair.source_lang == source and pair.target_lang == target for pair in client.get_glossary_languages()):
    glossary = client.create_glossary("ours", source_lang=source, target_lang=target, entries={"dog": "zzz"})
    assert client.get_glossary_entries(glossary) == {"dog": "zzz"}
    assert [found.glossary_id for found in client.list_glossaries()] == [glossary.glossary_id]
    termed = client.translate_text(text, source_lang=source, target_lang=target.upper(), glossary=glossary)
    client.delete_glossary(glossary)
    assert client.list_glossaries() == []
    print("deepl glossary:", termed.text)
usage = client.get_usage()
print("deepl usage:", usage.character.count, "of", usage.character.limit)
try:
    client.translate_text(text, target_lang="XX")
    raise SystemExit("a language that there is not was taken")
except deepl.DeepLException as error:
    print("deepl error:", error)
