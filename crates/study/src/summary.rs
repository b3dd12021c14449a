//! Turns counts into the figures of an analysis.

use strata_corpus::languages::Languages;
use strata_recipe::{ModelConfig, Side};
use strata_translate::evaluate;

use crate::analysis::{BlockSummary, DirectionSummary, Group, LanguageSummary, Routed};
use crate::counts::{BlockCounts, DirectionCounts, Place};

/// Mean requested capacity over the blocks of one side; none without blocks or tokens there.
pub(crate) fn mean_rc(places: &[Place], counts: &DirectionCounts, side: Side) -> Option<f64> {
    let blocks = places.iter().zip(&counts.blocks).filter(|(p, block)| p.side == side && block.tokens > 0);
    mean(blocks.map(|(_, block)| block.requested_capacity()))
}

/// The mean; none without values.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let all: Vec<f64> = values.collect();
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

/// The figures of one block.
pub(crate) fn block(place: Place, block: &BlockCounts) -> BlockSummary {
    let shares = |counts: &[u64]| {
        let all = counts.iter().sum::<u64>().max(1) as f64;
        counts.iter().map(|n| *n as f64 / all).collect()
    };
    BlockSummary {
        side: place.side.name().to_owned(),
        layer: place.layer,
        tokens: block.tokens,
        requested_capacity: block.requested_capacity(),
        capacity_shares: shares(&block.tokens_by_capacity),
        choice_share: shares(&block.chosen),
        mass_share: block.mass_share(),
        entropy: block.entropy(),
        balance: block.balance(),
    }
}

/// Means over directions out of English, into English and between others, each as a whole and by resource level.
pub(crate) fn groups(directions: &[DirectionSummary]) -> Vec<Group> {
    let group = |(name, places): (String, Vec<usize>)| Group {
        name,
        directions: places.len(),
        rc_encoder: mean(places.iter().filter_map(|i| directions[*i].rc_encoder)),
        rc_decoder: mean(places.iter().filter_map(|i| directions[*i].rc_decoder)),
    };
    let groups = evaluate::groups(directions.iter().map(|d| (d.source.as_str(), d.target.as_str(), d.level)));
    groups.into_iter().map(group).collect()
}

/// Each language that was routed: the encoder's blocks over the directions out of it, the decoder's over those into it.
pub(crate) fn languages(
    config: &ModelConfig,
    places: &[Place],
    routed: &[Routed],
    languages: &Languages,
) -> Vec<LanguageSummary> {
    let mut found = Vec::new();
    for language in &languages.languages {
        let mut counts = DirectionCounts::new(config);
        for direction in routed {
            for (i, place) in places.iter().enumerate() {
                let own =
                    if place.side == Side::Decoder { &direction.direction.target } else { &direction.direction.source };
                if *own == language.tag {
                    counts.blocks[i].merge(&direction.counts.blocks[i]);
                }
            }
        }
        if counts.blocks.iter().all(|block| block.tokens == 0) {
            continue;
        }
        found.push(LanguageSummary {
            language: language.tag.clone(),
            level: language.level,
            rc_encoder: mean_rc(places, &counts, Side::Encoder),
            rc_decoder: mean_rc(places, &counts, Side::Decoder),
            mass_share: counts.blocks.iter().map(|b| (b.tokens > 0).then(|| b.mass_share())).collect(),
        });
    }
    found
}
