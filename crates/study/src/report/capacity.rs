//! The part of a report that shows one model's routing.

use strata_corpus::bitext::Pair;
use strata_corpus::codes::is_english;

use super::html::{Table, escape, figure, plots, tokens};
use super::plot::{Box5, Row, bars, boxes, heat_map, series};
use crate::analysis::{Analysis, DirectionSummary, SubwordCapacity, SubwordLists};
use crate::error::Error;

/// All sections on one model, with headings of the third level.
pub(crate) fn sections(analysis: &Analysis) -> Result<String, Error> {
    let mut html = summary(analysis);
    if analysis.strata.len() > 1 {
        html += &capacity(analysis)?;
        html += &ranks(analysis)?;
    }
    html += &blocks(analysis);
    html += &experts(analysis)?;
    html += &similarity(analysis)?;
    Ok(html)
}

/// A legend of the first series' colors.
pub(crate) fn key(names: &[&str]) -> String {
    let entry = |(i, name): (usize, &&str)| {
        let [r, g, b] = series(i);
        format!("<span><i style=\"background:#{r:02x}{g:02x}{b:02x}\"></i>{}</span>", escape(name))
    };
    format!("<div class=\"key\">{}</div>\n", names.iter().enumerate().map(entry).collect::<String>())
}

fn rc(value: Option<f64>) -> String {
    value.map_or("-".to_string(), |rc| format!("{rc:.3}"))
}

fn summary(analysis: &Analysis) -> String {
    let million = |flops: u64| format!("{:.1}", flops as f64 / 1e6);
    format!(
        "<p>{} sentences of the {} split, routed with their references as translations; strata {:?}. Requested capacity (RC, the \
         strata that a token visits): encoder {}, decoder {}. FLOPs per token: {} M as measured, {} M under uniform routing. \
         Dropped tokens: {} (experts take every token at inference).</p>\n",
        analysis.sentences,
        escape(&analysis.split),
        analysis.strata,
        rc(analysis.rc_encoder),
        rc(analysis.rc_decoder),
        million(analysis.flops_per_token_measured),
        million(analysis.flops_per_token),
        analysis.dropped
    )
}

/// Requested capacity by direction, group, block and language.
fn capacity(analysis: &Analysis) -> Result<String, Error> {
    let span = [1.0, analysis.strata.len() as f64];
    let row = |name: &str, values: [Option<f64>; 2]| Row { name: name.to_string(), values: values.to_vec() };
    let of = |directions: Vec<&DirectionSummary>| -> Vec<Row<f64>> {
        directions.iter().map(|d| row(&d.direction, [d.rc_encoder, d.rc_decoder])).collect()
    };
    let [from_english, to_english]: [fn(&&DirectionSummary) -> bool; 2] =
        [|d| is_english(&d.source), |d| is_english(&d.target)];
    let out = of(analysis.directions.iter().filter(from_english).collect());
    let into = of(analysis.directions.iter().filter(to_english).collect());
    let other = of(analysis.directions.iter().filter(|d| !from_english(d) && !to_english(d)).collect());
    let mut figures = Vec::new();
    for (rows, what) in [(out, "out of English"), (into, "into English"), (other, "between other languages")] {
        if !rows.is_empty() {
            figures.push(figure(&bars(&rows, span, "mean RC")?, &format!("RC by direction, {what}")));
        }
    }
    let of_blocks: Vec<Row<f64>> = analysis
        .blocks
        .iter()
        .map(|b| {
            let value = Some(b.requested_capacity);
            let encoder = b.side == "encoder";
            row(&format!("{} {}", b.side, b.layer), [value.filter(|_| encoder), value.filter(|_| !encoder)])
        })
        .collect();
    figures.push(figure(&bars(&of_blocks, span, "mean RC")?, "RC by block (layer, from 0), over all directions"));
    let languages: Vec<Row<f64>> =
        analysis.languages.iter().map(|l| row(&l.language, [l.rc_encoder, l.rc_decoder])).collect();
    let caption = "RC by language: encoder when it is translated from, decoder when it is translated into";
    figures.push(figure(&bars(&languages, span, "mean RC")?, caption));
    let mut table = Table::new(&["directions", "count", "RC encoder", "RC decoder"]);
    for group in &analysis.groups {
        let cells = [group.name.clone(), group.directions.to_string(), rc(group.rc_encoder), rc(group.rc_decoder)];
        table.row("", &cells);
    }
    Ok(format!("<h3>Requested capacity</h3>\n{}{}{}", key(&["encoder", "decoder"]), plots(&figures), table.finish()))
}

/// Frequency ranks of the subwords with the highest and lowest capacity.
fn ranks(analysis: &Analysis) -> Result<String, Error> {
    let ranks =
        |list: &[SubwordCapacity]| Box5::of(list.iter().filter_map(|subword| subword.rank).map(f64::from).collect());
    let mut figures = Vec::new();
    for (i, block) in analysis.blocks.iter().enumerate() {
        let rows: Vec<Row<Box5>> = analysis
            .directions
            .iter()
            .filter_map(|d| {
                let lists = d.subwords.get(i).filter(|lists| !lists.highest.is_empty())?;
                Some(Row { name: d.direction.clone(), values: vec![ranks(&lists.highest), ranks(&lists.lowest)] })
            })
            .collect();
        if !rows.is_empty() {
            let plot = boxes(&rows, "frequency rank in training text (1 = most frequent)")?;
            figures.push(figure(&plot, &format!("{} layer {}", block.side, block.layer)));
        }
    }
    if figures.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(
        "<h3>How frequent are the subwords that request most and least?</h3>\n{}{}{}",
        key(&["highest RC", "lowest RC"]),
        plots(&figures),
        subwords(analysis)
    ))
}

/// The lists themselves, collapsed.
fn subwords(analysis: &Analysis) -> String {
    let mut table = Table::new(&["direction and block", "subwords: RC (rank)"]);
    for direction in &analysis.directions {
        for (lists, block) in direction.subwords.iter().zip(&analysis.blocks) {
            let SubwordLists { highest, lowest } = lists;
            for (name, list) in [("highest", highest), ("lowest", lowest)].into_iter().filter(|(_, l)| !l.is_empty()) {
                let shown: Vec<String> = list
                    .iter()
                    .map(|s| {
                        let rank = s.rank.map_or("-".to_string(), |rank| rank.to_string());
                        format!("<bdi>{}</bdi> {:.2} ({rank})", escape(&s.piece), s.requested_capacity)
                    })
                    .collect();
                let label = format!("{}, {} {}, {name}", direction.direction, block.side, block.layer);
                table.html_row(&label, &shown.join(" &nbsp; "));
            }
        }
    }
    format!("<details><summary>The subwords</summary>{}</details>\n", table.finish())
}

fn blocks(analysis: &Analysis) -> String {
    let mut columns = vec!["block".to_string(), "tokens".into(), "RC".into()];
    columns.extend((1..=analysis.strata.len()).map(|n| format!("RC = {n}, %")));
    columns.extend(["gate entropy, nats".into(), "balance".into(), "most loaded expert".into()]);
    let mut table = Table::new(&columns);
    for b in &analysis.blocks {
        let mut cells =
            vec![format!("{} {}", b.side, b.layer), b.tokens.to_string(), format!("{:.3}", b.requested_capacity)];
        cells.extend(b.capacity_shares.iter().map(|share| format!("{:.1}", 100.0 * share)));
        let most = b.choice_share.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let most = most.map_or("-".to_string(), |(e, share)| format!("{e}: {:.1} % of choices", 100.0 * share));
        cells.extend([format!("{:.3}", b.entropy), format!("{:.3}", b.balance), most]);
        table.row("", &cells);
    }
    format!(
        "<h3>Blocks</h3>\n{}<p class=\"note\">Layers and experts count from 0, as in the names of weights. Balance is the balance \
         loss over all tokens: 1 for perfectly even experts.</p>\n",
        table.finish()
    )
}

/// Languages by experts, languages of one cluster side by side.
fn experts(analysis: &Analysis) -> Result<String, Error> {
    let order = |language: &str| analysis.similarity.languages.iter().position(|l| l == language);
    let mut languages: Vec<_> = analysis.languages.iter().collect();
    languages.sort_by_key(|l| order(&l.language));
    let mut figures = Vec::new();
    for (i, block) in analysis.blocks.iter().enumerate() {
        let rows: Vec<Row<f64>> = languages
            .iter()
            .filter_map(|l| {
                let shares = l.mass_share.get(i)?.as_ref()?;
                Some(Row { name: l.language.clone(), values: shares.iter().map(|s| Some(*s)).collect() })
            })
            .collect();
        let most = rows.iter().flat_map(|row| row.values.iter().flatten()).copied().fold(0.0, f64::max);
        let columns: Vec<String> = (0..analysis.strata.iter().sum()).map(|e: usize| e.to_string()).collect();
        let side = if block.side == "encoder" { "translated from" } else { "translated into" };
        let caption =
            format!("{} layer {}: expert use by language {side}, % of its gate mass", block.side, block.layer);
        figures.push(figure(&heat_map(&rows, &columns, most)?, &caption));
    }
    Ok(format!("<h3>Which experts serve which language</h3>\n{}", plots(&figures)))
}

fn similarity(analysis: &Analysis) -> Result<String, Error> {
    let found = &analysis.similarity;
    if found.merges.is_empty() {
        return Ok(String::new());
    }
    let rows: Vec<Row<f64>> = found
        .languages
        .iter()
        .zip(&found.divergence)
        .map(|(language, row)| Row { name: language.clone(), values: row.iter().map(|v| Some(*v)).collect() })
        .collect();
    let most = found.divergence.iter().flatten().copied().fold(0.0, f64::max);
    let map = heat_map(&rows, &found.languages, most)?;
    let mut table = Table::new(&["divergence", "joined"]);
    for merge in &found.merges {
        let joined = format!("{} + {}", escape(&merge.left.join(" ")), escape(&merge.right.join(" ")));
        table.html_row(&format!("{:.4}", merge.divergence), &joined);
    }
    let caption = "Jensen-Shannon divergence of expert use, hundredths of a bit; pale is alike";
    Ok(format!(
        "<h3>Languages routed alike</h3>\n{}<p class=\"note\">Average-linkage clusters, nearest first, by the mean divergence in bits.</p>\n{}",
        plots(&[figure(&map, caption)]),
        table.finish()
    ))
}

/// A sentence of each direction with colored tokens.
pub(crate) fn examples(analysis: &Analysis) -> String {
    let mut table = Table::new(&["", "tokens"]);
    for example in &analysis.examples {
        let pair = Pair::parse(&example.direction);
        let (from, to) = pair.as_ref().map_or((example.direction.as_str(), ""), |pair| (&pair.first, &pair.second));
        let most = analysis.strata.len();
        table.html_row(&format!("{}: {from}", example.direction), &tokens(&example.source, most));
        table.html_row(to, &tokens(&example.target, most));
    }
    format!(
        "<h3>Sentences by requested capacity</h3>\n<p class=\"note\">From blue (1 stratum) to red ({} strata), the mean over the blocks of \
         a token's side.</p>\n{}",
        analysis.strata.len(),
        table.finish()
    )
}
