//! Training that starts from a model: fine-tuning, further languages, experts made of a dense model's FFNs.

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use common::{checkpoint, no_bleu, prepared, recipe};
use strata_corpus::languages::Languages;
use strata_corpus::{Subwords, synthetic};
use strata_ranks::Ranks;
use strata_recipe::{Activation, Recipe};
use strata_store::{Existing, ModelFolder, ModelParts, TensorList};
use strata_train::{Error, Event, Start, train};

const DENSE: [(&str, &str); 2] = [("model.kind", "\"dense\""), ("model.strata", "[]")];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("init-{name}"))
}

/// The validation losses of a run, by update.
fn run(start: Start<'_>) -> Result<Vec<(u64, f64)>, Error> {
    let mut losses = Vec::new();
    let mut observe = |event: &Event| {
        if let Event::Validated { update, loss, .. } = event {
            losses.push((*update, *loss));
        }
    };
    train(start, &Ranks::single(), &no_bleu, &AtomicBool::new(false), &mut observe)?;
    Ok(losses)
}

fn fresh(recipe: &Recipe) -> Result<Vec<(u64, f64)>, Error> {
    run(Start::New { recipe, overwrite: true })
}

/// A dense model that is trained for the test `name`, and its loss.
fn dense(name: &str) -> (PathBuf, f64) {
    let folder = path(&format!("{name}-dense"));
    let losses = fresh(&recipe(&folder, &DENSE)).unwrap();
    (folder, losses.last().unwrap().1)
}

/// A recipe that starts from `model`, in a folder of its own.
fn from(model: &Path, name: &str, changes: &[(&str, &str)]) -> Recipe {
    let model = format!("{:?}", model.to_str().unwrap());
    recipe(&path(name), &[&[("train.init", model.as_str())], changes].concat())
}

#[test]
fn it_begins_with_the_loss_of_the_model_and_goes_on_from_there() {
    let (model, loss) = dense("begin");
    let recipe = from(&model, "begin", &DENSE);
    let losses = fresh(&recipe).unwrap();
    assert_eq!(losses[0], (0, loss), "not a bit differs");
    assert!(losses[2].0 == 20 && losses[2].1 < loss, "it learns: {losses:?}");
    let best = std::fs::read_link(path("begin").join("best")).unwrap();
    assert!(best.ends_with("step-000020"), "{}", best.display());
    // Without the model: from the middle, and from the weights that it started with.
    let whole = [10, 20].map(|step| checkpoint(&path("begin"), &format!("step-{step:06}")));
    std::fs::remove_dir_all(&model).unwrap();
    for step in [10, 0] {
        let run = run(Start::Resume { run: &path("begin"), from: Some(step), device: None, set: &[] }).unwrap();
        assert_eq!(run.last(), losses.last());
        assert!(checkpoint(&path("begin"), "step-000020") == whole[1], "resumed from {step}");
    }
    assert!(checkpoint(&path("begin"), "step-000010") == whole[0]);
}

#[test]
fn upcycled_models_begin_with_the_loss_of_the_dense_model() {
    let (model, loss) = dense("upcycle");
    let moe = [("model.strata", "[]"), ("model.experts", "4"), ("model.kind", "\"moe\"")];
    let switch = [("model.strata", "[]"), ("model.experts", "4"), ("model.kind", "\"switch\""), ("model.top_k", "1")];
    for (name, changes) in
        [("smoe", &[][..]), ("learned", &[("model.learned_scale", "true")]), ("moe", &moe), ("switch", &switch)]
    {
        let changes = [changes, &[("train.upcycle", "true"), ("train.updates", "40")]].concat();
        let losses = fresh(&from(&model, &format!("upcycle-{name}"), &changes)).unwrap();
        assert!((losses[0].1 - loss).abs() < 1e-5, "{name}: {losses:?}, the dense model {loss}");
        assert!(losses.last().unwrap().1 < loss, "{name}: {losses:?}");
    }
}

#[test]
fn several_ranks_start_from_a_model_as_one_does() {
    let (model, _) = dense("ranks");
    let recipe = |name: &str| from(&model, name, &[("train.upcycle", "true"), ("train.updates", "6")]);
    let alone = fresh(&recipe("ranks-1")).unwrap();
    let many = recipe("ranks-2");
    let mut losses = Vec::new();
    std::thread::scope(|scope| {
        let mut losses = Some(&mut losses);
        for ranks in Ranks::threads(2) {
            let (many, mut losses) = (&many, losses.take());
            scope.spawn(move || {
                let mut observe = |event: &Event| {
                    if let (Event::Validated { loss, .. }, Some(losses)) = (event, &mut losses) {
                        losses.push(*loss);
                    }
                };
                let start = Start::New { recipe: many, overwrite: true };
                train(start, &ranks, &no_bleu, &AtomicBool::new(false), &mut observe).unwrap();
            });
        }
    });
    assert_eq!(losses[0], alone[0].1, "validations add in the order of the batches");
    assert!((losses[1] - alone[1].1).abs() < 1e-5, "{losses:?} {alone:?}");
    let folder = path("ranks-2");
    let resumed = run(Start::Resume { run: &folder, from: Some(0), device: None, set: &[] }).unwrap();
    assert!((resumed[1].1 - alone[1].1).abs() < 1e-5, "{resumed:?}");
}

/// Another language, prepared with the subwords of the model.
fn further_language(model: &Path) -> PathBuf {
    let (bitext, prepared) = (path("further-bitext"), path("further-prepared"));
    let _ = std::fs::remove_dir_all(&bitext);
    synthetic::generate(&synthetic::Options { languages: 3, pairs: 300, seed: 2 }, &bitext).unwrap();
    for old in ["qaa", "qab"] {
        for entry in std::fs::read_dir(&bitext).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.file_name().unwrap().to_string_lossy().contains(old) {
                std::fs::remove_file(entry).unwrap();
            }
        }
    }
    let mut options = strata_corpus::prepare::Options::new(bitext, &prepared);
    options.subwords.import = Some(model.join("best"));
    options.overwrite = true;
    strata_corpus::prepare::prepare(&options, &mut |_| {}).unwrap();
    prepared
}

#[test]
fn a_further_language_gets_a_tag_and_the_old_ones_keep_theirs() {
    let (model, _) = dense("further");
    let prepared = further_language(&model);
    let data = format!("{:?}", prepared.to_str().unwrap());
    let changes = [&DENSE[..], &[("data.prepared", data.as_str()), ("train.updates", "60")]].concat();
    let losses = fresh(&from(&model, "further", &changes)).unwrap();
    assert!(losses.last().unwrap().1 < 0.9 * losses[0].1, "{losses:?}");
    let new = ModelFolder::open(path("further").join("checkpoints/step-000000")).unwrap();
    let languages = Languages::load(&new.file("languages.json")).unwrap();
    assert_eq!(languages.tags(), ["en", "qaa", "qab", "qac"]);
    let named: Vec<String> = languages.directions.iter().map(|d| d.name()).collect();
    assert_eq!(named, ["en-qaa", "en-qab", "en-qac", "qaa-en", "qab-en", "qac-en"]);
    let old = ModelFolder::open(std::fs::canonicalize(model.join("best")).unwrap()).unwrap();
    let [ours, theirs] = [&new, &old].map(|folder| Subwords::load(&folder.file("tokenizer.json")).unwrap());
    let table = |folder: &ModelFolder, subwords: &Subwords| {
        folder.weights().unwrap().f32("embedding.weight", &[subwords.vocab_size(), 16]).unwrap().to_vec()
    };
    let (table_new, table_old) = (table(&new, &ours), table(&old, &theirs));
    let row = |table: &[f32], id: u32| table[id as usize * 16..][..16].to_vec();
    let text = "The small dog sees the old house.";
    for (new, old) in ours.encode(text).into_iter().zip(theirs.encode(text)) {
        assert_eq!(row(&table_new, new), row(&table_old, old), "{}", ours.piece(new));
    }
    for tag in ["en", "qaa", "qab"] {
        assert_eq!(row(&table_new, ours.tag(tag).unwrap()), row(&table_old, theirs.tag(tag).unwrap()));
    }
    // The longest side that either has learned from.
    assert_eq!(languages.max_length, Some(64));
}

/// The run of `recipe` fails for this reason, and leaves nothing behind.
fn refused(recipe: &Recipe, words: &[&str]) {
    let output = Path::new(&recipe.train.output);
    let before = output.exists();
    let error = fresh(recipe).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)), "no {words:?} in: {error}");
    assert_eq!(output.exists(), before, "{error}");
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let (model, _) = dense("refuse");
    let with = |changes: &[(&str, &str)]| from(&model, "refused", &[&DENSE[..], changes].concat());
    refused(
        &with(&[("model.d_model", "32"), ("model.heads", "4")]),
        &["model.d_model = 32, but the model that training starts from has 16", "model.heads = 4, but", "has 2"],
    );
    refused(&from(&model, "refused", &[]), &["model.kind = \"smoe\", but", "\"dense\""]);
    refused(&from(&path("nowhere"), "refused", &DENSE), &["nowhere is not a model"]);
    refused(&Recipe { train: with(&[]).train, ..from(&model, "refused", &[]) }, &["model.kind"]);
    let mut inside = with(&[]);
    inside.train.output = model.to_str().unwrap().to_string();
    refused(&inside, &["lies in", "the folder of the new run"]);
    assert!(model.join("best/model.safetensors").exists());

    // Subwords of another text.
    let folder = ModelFolder::open(std::fs::canonicalize(model.join("best")).unwrap()).unwrap();
    let other = path("refuse-other");
    let _ = std::fs::remove_dir_all(&other);
    synthetic::generate(&synthetic::Options { languages: 1, pairs: 200, seed: 9 }, &other.join("bitext")).unwrap();
    let mut options = strata_corpus::prepare::Options::new(other.join("bitext"), other.join("prepared"));
    options.subwords.vocab_size = 350;
    strata_corpus::prepare::prepare(&options, &mut |_| {}).unwrap();
    let data = format!("{:?}", other.join("prepared").to_str().unwrap());
    refused(&with(&[("data.prepared", data.as_str())]), &["other subwords", "no tag for qab"]);

    // An architecture that training does not compute.
    let mut config = folder.model_config().unwrap();
    config.network.activation = Activation::Gelu;
    let (tokenizer, languages) = (folder.tokenizer().unwrap(), folder.languages().unwrap());
    let (config, weights) = (config.to_json(), TensorList::new());
    let parts = ModelParts {
        config: config.as_bytes(),
        tokenizer: &tokenizer,
        languages: &languages,
        weights: &weights,
        extra: &[],
    };
    let written = ModelFolder::write(path("refuse-gelu"), &parts, Existing::Replace).unwrap();
    refused(&from(written.path(), "refused", &DENSE), &["network.activation"]);
    assert!(prepared().exists());
}
