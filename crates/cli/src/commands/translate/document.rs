//! Documents in their formats, as the server translates them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use strata_corpus::text::is_compressed;
use strata_documents::{Document, Format, Options, Parts, extensions, open, worded};
use strata_files::{thousands, write_file};
use strata_ranks::Ranks;
use strata_translate::{Part, Placement, Tally, TranslateOptions, Translator};

use super::{Arguments, shown};
use crate::terminal::{Terminal, Warnings, labeled};
use crate::{Outcome, model};

/// Sentences translated together.
const WINDOW: usize = 2048;

/// Formats that cannot be read, and whose translation line by line would not be a file of their format any more.
const OTHERS: &[&str] = &[
    ".adoc",
    ".ass",
    ".csv",
    ".doc",
    ".jsonl",
    ".ndjson",
    ".ods",
    ".pdf",
    ".ppt",
    ".properties",
    ".resx",
    ".rst",
    ".rtf",
    ".ssa",
    ".strings",
    ".tex",
    ".tmx",
    ".tsv",
    ".xls",
    ".xlsx",
    ".yaml",
    ".yml",
];

/// Those of them that are no text.
const BINARY: &[&str] = &[".doc", ".ods", ".ppt", ".xls", ".xlsx"];

/// Whether a file is a document of a format other than plain text, by its name.
pub fn is_document(file: &Path) -> bool {
    let name = file.to_string_lossy().to_lowercase();
    (!name.ends_with(".txt") && Format::of_file(&name).is_some()) || OTHERS.iter().any(|other| name.ends_with(other))
}

/// Translates each file into one of its own. Several ranks take files in turn.
pub fn run(
    arguments: &Arguments,
    mut options: TranslateOptions,
    ranks: &Ranks,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let format = &arguments.format;
    let lines_only = format.nbest.is_some() || format.scores || format.alignments || format.json;
    ensure!(
        !lines_only && !arguments.whole_lines && arguments.forced.prefixes.is_none(),
        "--nbest, --scores, --alignments, --json, --whole-lines and --prefixes are for lines of text, not for documents"
    );
    let files: Vec<(&PathBuf, PathBuf)> =
        arguments.files.iter().map(|file| Ok((file, output(file, arguments)?))).collect::<anyhow::Result<_>>()?;
    for (i, (file, output)) in files.iter().enumerate() {
        if let Some((first, _)) = files[..i].iter().find(|(_, other)| other == output) {
            let (first, file, output) = (first.display(), file.display(), output.display());
            bail!(
                "{first} and {file} would both be translated into {output}; translate one of them into another folder"
            );
        }
    }
    let files: Vec<(&PathBuf, PathBuf)> = files.into_iter().skip(ranks.rank()).step_by(ranks.size()).collect();
    // Of its own files alone: another rank may have written one of its by now.
    for (_, output) in &files {
        // What nobody named may have been edited since.
        let named = arguments.format.output.as_ref() == Some(output);
        ensure!(
            named || arguments.format.overwrite || !output.exists(),
            "{} exists; name another file by -o, or pass --overwrite to replace it",
            output.display()
        );
    }
    // Everything is read before a model is loaded, so that a file that cannot be read is reported at once.
    let documents = files.iter().map(|(file, _)| read(file, arguments)).collect::<anyhow::Result<Vec<_>>>()?;
    let translator = Translator::open(&arguments.model, &Placement::from(&arguments.search.place))?;
    translator.check_direction(arguments.from.as_deref(), &arguments.to)?;
    if ranks.is_first() {
        model::warn_of_direction(&translator, arguments.from.as_deref(), &arguments.to, terminal);
    }
    let tally = Tally::default();
    options.tally = Some(tally.clone());
    let (mut warnings, mut sentences) = (Warnings::default(), 0);
    for ((file, output), document) in files.iter().zip(documents) {
        let parts = Parts::new(document, &|text| worded(&translator, text));
        options.search.alignments = parts.aligned();
        let task = translator.task(arguments.from.as_deref(), &arguments.to, &options)?;
        let mut translations: Vec<Part> = Vec::with_capacity(parts.texts().len());
        for texts in parts.texts().chunks(WINDOW) {
            let (done, of) = (thousands(translations.len() as u64), thousands(parts.texts().len() as u64));
            let done = format!("{}: {done} of {of} sentences done", file.display());
            let next = texts.len().to_string();
            translations.extend(shown(terminal, &tally, [&done, &next], || translator.translate_parts(texts, &task))?);
        }
        for (text, Part { shortfall, .. }) in parts.texts().iter().zip(&translations) {
            if let Some(shortfall) = shortfall {
                warnings.add(&format!("{}: `{}`: {shortfall}", file.display(), beginning(text)), terminal);
            }
        }
        sentences += translations.len() as u64;
        let bytes = parts.render(&translations, 0).with_context(|| format!("cannot translate {}", file.display()))?;
        write_file(output, &bytes)?;
        terminal.progress("");
        terminal.detail(&labeled("translated", &format!("{} into {}", file.display(), output.display())));
    }
    let short = warnings.count();
    if warnings.are_cut() {
        terminal.warn(&format!("{} of {} sentences may lack text", thousands(short), thousands(sentences)));
    }
    Ok(if short > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

/// The first words of a text, to find it by.
fn beginning(text: &str) -> String {
    const MOST: usize = 40;
    let first: String = text.chars().take(MOST).collect();
    if first.len() < text.len() { format!("{first}...") } else { first }
}

fn read(file: &Path, arguments: &Arguments) -> anyhow::Result<Box<dyn Document>> {
    let content = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.to_string_lossy().to_lowercase();
    if Format::of_file(&name).is_none() {
        bail!("{}: {}", file.display(), instead_of(&name));
    }
    let options = Options { encoding: arguments.encoding, target: Some(arguments.to.clone()), ..Options::default() };
    open(&name, content, &options).with_context(|| format!("cannot read {}", file.display()))
}

/// What to do about a file of one of the formats in [`OTHERS`].
fn instead_of(name: &str) -> String {
    let of = |formats: &[&str]| formats.iter().any(|format| name.ends_with(format));
    if of(&[".pdf"]) {
        return "PDF files hold the shapes of letters and not text; translate the document that it was made from, such as \
                .docx or .html"
            .to_string();
    }
    let known = extensions().collect::<Vec<_>>().join(", ");
    let lines = if of(BINARY) { "" } else { "; its lines by themselves are translated from standard input" };
    format!("files of this format are not translated; there are {known}{lines}")
}

/// Where a file's translation goes: `-o`, a file or a folder, or beside it.
fn output(file: &Path, arguments: &Arguments) -> anyhow::Result<PathBuf> {
    ensure!(file != Path::new("-"), "standard input is lines of text; give documents as files, by themselves");
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let extension = file.extension().map_or(String::new(), |extension| format!(".{}", extension.to_string_lossy()));
    let name = format!("{stem}.{}{extension}", arguments.to);
    let output = match &arguments.format.output {
        None => file.with_file_name(name),
        Some(folder) if folder.is_dir() => folder.join(name),
        Some(output) => {
            let what = "several documents go to a folder: make one, and name it by -o, or leave -o out";
            ensure!(arguments.files.len() == 1, what);
            ensure!(
                !is_compressed(output),
                "{}: documents are not compressed; leave out the last suffix",
                output.display()
            );
            output.clone()
        }
    };
    let same = output.canonicalize().ok().is_some_and(|output| file.canonicalize().is_ok_and(|file| file == output));
    ensure!(!same, "{} is also an input; choose another", output.display());
    Ok(output)
}
