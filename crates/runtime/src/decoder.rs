//! One decoder step over tokens of any sentences and hypotheses, each at its own position.

use crate::cache::{Sources, TargetCache};
use crate::kernels::{KeysValues, attend};
use crate::model::Model;
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
        let (d, heads, n) = (self.config.d_model, self.config.heads, tokens.len());
        let threads = workspace.threads();
        let ids = tokens.ids.iter().copied().zip(tokens.places.iter().copied());
        self.embed(ids, room(&mut workspace.x, n * d));
        for (i, layer) in self.decoder.iter().enumerate() {
            let scratch = &mut workspace.scratch;
            let normed = room(&mut workspace.normed, n * d);
            let context = room(&mut workspace.context, n * d);

            layer.attention.norm.apply(&workspace.x[..n * d], normed);
            let projections = room(&mut workspace.projections, n * 3 * d);
            layer.attention.projections.apply(normed, n, projections, plain(threads), &mut scratch[0]);
            let cache = &mut own.layers[i];
            for (row, projections) in tokens.rows.iter().zip(projections.chunks_exact(3 * d)) {
                cache[*row as usize * 2 * d..][..2 * d].copy_from_slice(&projections[d..]);
            }
            let over = KeysValues { rows: cache, width: 2 * d, keys: 0 };
            over_rows(context, d, threads, 64 * d, |first, out| {
                let mut scores = Vec::new();
                for (t, out) in (first..).zip(out.chunks_exact_mut(d)) {
                    let (start, end) = tokens.spans[t];
                    let past = tokens.past[start as usize..end as usize].iter().map(|row| *row as usize);
                    attend(&projections[t * 3 * d..][..d], over, past, heads, &mut scores, out);
                }
            });
            let x = &mut workspace.x[..n * d];
            layer.attention.output.apply(context, n, x, added(threads), &mut scratch[0]);

            layer.cross.norm.apply(x, normed);
            let queries = room(&mut workspace.projections, n * d);
            layer.cross.query.apply(normed, n, queries, plain(threads), &mut scratch[0]);
            let of_source = |t: usize| {
                let source = &sources.slots[tokens.sources[t] as usize];
                (KeysValues { rows: &source.layers[i], width: 2 * d, keys: 0 }, source.length)
            };
            over_rows(context, d, threads, 64 * d, |first, out| {
                let mut scores = Vec::new();
                for (t, out) in (first..).zip(out.chunks_exact_mut(d)) {
                    let (over, length) = of_source(t);
                    attend(&queries[t * d..][..d], over, 0..length, heads, &mut scores, out);
                }
            });
            if i + 1 == self.decoder.len() {
                // Few requests want it: computed again for those.
                let (mut scores, mut out) = (Vec::new(), vec![0.0; d]);
                for t in (0..n).filter(|t| tokens.attention[*t]) {
                    let (over, length) = of_source(t);
                    attend(&queries[t * d..][..d], over, 0..length, heads, &mut scores, &mut out);
                    let mean = |p: &[f32]| p.iter().sum::<f32>() / heads as f32;
                    tokens.attention_rows.extend(scores.chunks_exact(heads).map(mean));
                }
            }
            layer.cross.output.apply(context, n, x, added(threads), &mut scratch[0]);
            layer.feed_forward.apply(n, i, d, workspace);
        }
        self.decoder_norm.apply(&workspace.x[..n * d], room(&mut workspace.normed, n * d));
    }
}
