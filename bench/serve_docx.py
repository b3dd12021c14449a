#!/usr/bin/env python3
"""A Word document made by python-docx through a translation server and opened again.

    pip install python-docx
    bench/serve_docx.py http://127.0.0.1:5000 SOURCE TARGET "TEXT" OUTPUT.docx

Headings, formatting, lists, a table, a header and a footer: the translation must have as many of each, with the styles and formats of the
original; every paragraph of the text must be what /translate makes of it. Ends with an error at the first that is not so.
"""

import io
import json
import sys
import urllib.request

import docx

url, source, target, text, output = sys.argv[1:6]


def ask(path, body, kind):
    request = urllib.request.Request(url + path, body, {"Content-Type": kind})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


plain = ask("/translate", json.dumps({"q": text, "source": source, "target": target}).encode(), "application/json")["translatedText"]

made = docx.Document()
made.add_heading(text, 1)
paragraph = made.add_paragraph(style="List Bullet")
words = text.split(" ")
paragraph.add_run(" ".join(words[:-1]) + " ")
paragraph.add_run(words[-1]).bold = True
made.add_paragraph("").add_run(text).italic = True
table = made.add_table(rows=2, cols=2)
for i, cell in enumerate(table._cells):
    cell.text = text if i % 2 else str(i)
made.sections[0].header.paragraphs[0].text = text
made.sections[0].footer.paragraphs[0].text = text
made.add_paragraph("1, 2, 3")
file = io.BytesIO()
made.save(file)

form = b"".join(f'--limit\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in [("source", source), ("target", target)])
form += b'--limit\r\nContent-Disposition: form-data; name="file"; filename="a.docx"\r\n\r\n' + file.getvalue() + b"\r\n--limit--\r\n"
with urllib.request.urlopen(ask("/translate_file", form, "multipart/form-data; boundary=limit")["translatedFileUrl"]) as answer:
    content = answer.read()
with open(output, "wb") as out:
    out.write(content)

found = docx.Document(io.BytesIO(content))
assert len(found.paragraphs) == len(made.paragraphs) and len(found.tables) == 1
for before, after in zip(made.paragraphs, found.paragraphs):
    assert before.style.name == after.style.name, (before.style.name, after.style.name)
    expected = before.text if before.text == "1, 2, 3" else plain
    assert after.text == expected, (before.text, after.text, plain)
bold = [run.text for run in found.paragraphs[1].runs if run.bold]
assert len(bold) <= 1, bold
assert all(run.italic for run in found.paragraphs[2].runs) and found.paragraphs[2].runs
assert [cell.text for cell in found.tables[0]._cells] == ["0", plain, "2", plain]
assert found.sections[0].header.paragraphs[0].text == plain and found.sections[0].footer.paragraphs[0].text == plain
print("paragraphs:", len(found.paragraphs), "bold:", bold)
