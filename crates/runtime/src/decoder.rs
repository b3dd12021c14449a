//! One decoder step over tokens of any sentences and hypotheses, each at its own position.

use strata_recipe::Side;

use crate::cache::{Sources, TargetCache};
use crate::kernels::{KeysValues, Scores, attend, ssru};
use crate::layers::{SelfAttention, Ssru};
use crate::model::{Model, TargetMixer};
use crate::parallel::{over_rows, room};
use crate::product::{added, plain};
use crate::workspace::Workspace;

/// The tokens that the decoder reads in one step. Several may belong to one hypothesis, such as a whole forced prefix;
/// each has its own rows to attend to.
#[derive(Default)]
pub(crate) struct StepTokens {
    /// `[tokens]`
    pub ids: Vec<u32>,
    /// Position of each in its target, `[tokens]`.
    pub places: Vec<u32>,
    /// Row of each in the target cache.
    pub rows: Vec<u32>,
    /// Slot of the source of each.
    pub sources: Vec<u32>,
    /// Each attends to the rows `past[span.0..span.1]`, its own included.
    pub spans: Vec<(u32, u32)>,
    /// Rows of the target cache.
    pub past: Vec<u32>,
    /// Whether to record the last layer's attention to the source, for each.
    pub attention: Vec<bool>,
    /// That attention, averaged over heads, `[source length]` for each such token in order.
    pub attention_rows: Vec<f32>,
}

impl StepTokens {
    pub fn clear(&mut self) {
        self.ids.clear();
        self.places.clear();
        self.rows.clear();
        self.sources.clear();
        self.spans.clear();
        self.past.clear();
        self.attention.clear();
        self.attention_rows.clear();
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }
}

impl Model {
    /// Reads `tokens`; leaves the decoder's output `[tokens, d]` in `workspace.normed`.
    pub(crate) fn read(
        &self,
        tokens: &mut StepTokens,
        own: &mut TargetCache,
        sources: &Sources,
        workspace: &mut Workspace,
    ) {
        let (d, heads, n) = (self.config.d_model, self.config.heads_of(Side::Decoder), tokens.len());
        let threads = workspace.threads();
        let ids = tokens.ids.iter().copied().zip(tokens.places.iter().copied());
        self.embed(Side::Decoder, ids, room(&mut workspace.x, n * d));
        for (i, layer) in self.decoder.iter().enumerate() {
            match &layer.mixer {
                TargetMixer::Attention(attention) => attention.read(heads, tokens, &mut own.layers[i], workspace),
                TargetMixer::Ssru(ssru) => ssru.read(tokens, &mut own.layers[i], workspace),
            }
            let scratch = &mut workspace.scratch;
            let context = room(&mut workspace.context, n * d);
            let x = &mut workspace.x[..n * d];

            let input = layer.cross.norm.input(x, &mut workspace.normed);
            let queries = room(&mut workspace.projections, n * d);
            layer.cross.query.apply(input, n, queries, plain(threads), &mut scratch[0]);
            let of_source = |t: usize| {
                let source = &sources.slots[tokens.sources[t] as usize];
                (KeysValues { rows: &source.layers[i], width: 2 * d, keys: 0 }, source.length)
            };
            over_rows(context, d, threads, 64 * d, |first, out| {
                let mut scores = Scores::default();
                for (t, out) in (first..).zip(out.chunks_exact_mut(d)) {
                    let (over, length) = of_source(t);
                    attend(&queries[t * d..][..d], over, 0..length, heads, &mut scores, out);
                }
            });
            if i + 1 == self.decoder.len() {
                // Few requests want it: computed again for those.
                let (mut scores, mut out) = (Scores::default(), vec![0.0; d]);
                for t in (0..n).filter(|t| tokens.attention[*t]) {
                    let (over, length) = of_source(t);
                    attend(&queries[t * d..][..d], over, 0..length, heads, &mut scores, &mut out);
                    let mean = |p: &[f32]| p.iter().sum::<f32>() / heads as f32;
                    tokens.attention_rows.extend(scores.probabilities.chunks_exact(heads).map(mean));
                }
            }
            layer.cross.output.apply(context, n, x, added(threads), &mut scratch[0]);
            layer.cross.norm.finish(n * d, &mut workspace.x, &mut workspace.normed);
            layer.feed_forward.apply(n, i, d, workspace);
        }
        self.finish(Side::Decoder, n, workspace);
    }
}

impl SelfAttention {
    /// Adds to `workspace.x` `[tokens, d]` what `tokens` see of those in front of them. `cache` `[rows, 2d]` holds keys
    /// and values, and gets those of `tokens`.
    fn read(&self, heads: usize, tokens: &StepTokens, cache: &mut [f32], workspace: &mut Workspace) {
        let (d, n) = (self.output.outputs(), tokens.len());
        let threads = workspace.threads();
        let scratch = &mut workspace.scratch;
        let context = room(&mut workspace.context, n * d);

        let input = self.norm.input(&workspace.x[..n * d], &mut workspace.normed);
        let projections = room(&mut workspace.projections, n * 3 * d);
        self.projections.apply(input, n, projections, plain(threads), &mut scratch[0]);
        for (row, projections) in tokens.rows.iter().zip(projections.chunks_exact(3 * d)) {
            cache[*row as usize * 2 * d..][..2 * d].copy_from_slice(&projections[d..]);
        }
        let over = KeysValues { rows: cache, width: 2 * d, keys: 0 };
        over_rows(context, d, threads, 64 * d, |first, out| {
            let mut scores = Scores::default();
            for (t, out) in (first..).zip(out.chunks_exact_mut(d)) {
                let (start, end) = tokens.spans[t];
                let past = tokens.past[start as usize..end as usize].iter().map(|row| *row as usize);
                attend(&projections[t * 3 * d..][..d], over, past, heads, &mut scores, out);
            }
        });
        self.output.apply(context, n, &mut workspace.x[..n * d], added(threads), &mut scratch[0]);
        self.norm.finish(n * d, &mut workspace.x, &mut workspace.normed);
    }
}

impl Ssru {
    /// Adds to `workspace.x` `[tokens, d]` what `tokens` remember of those in front of them. `cache` `[rows, d]` holds
    /// the cells, and gets those of `tokens`.
    fn read(&self, tokens: &StepTokens, cache: &mut [f32], workspace: &mut Workspace) {
        let (n, threads) = (tokens.len(), workspace.threads());
        let d = self.maps.outputs() / 2;
        let input = self.norm.input(&workspace.x[..n * d], &mut workspace.normed);
        let maps = room(&mut workspace.projections, n * 2 * d);
        self.maps.apply(input, n, maps, plain(threads), &mut workspace.scratch[0]);
        // Tokens of a forced prefix follow one another, so a token's parent is in the cache before it.
        for (t, (maps, x)) in maps.chunks_exact(2 * d).zip(workspace.x.chunks_exact_mut(d)).enumerate() {
            let (forget, input) = maps.split_at(d);
            let own = tokens.rows[t] as usize * d;
            let (start, end) = tokens.spans[t];
            // The last of a token's past is itself.
            match tokens.past[start as usize..end as usize] {
                [.., parent, _] => cache.copy_within(parent as usize * d..(parent as usize + 1) * d, own),
                _ => cache[own..own + d].fill(0.0),
            }
            ssru(forget, input, &mut cache[own..own + d], x);
        }
        self.norm.finish(n * d, &mut workspace.x, &mut workspace.normed);
    }
}
