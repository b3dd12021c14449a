//! The encoder over packed, ragged batches: `[tokens, d]` with offsets, no padding.

use strata_recipe::Side;

use crate::cache::Sources;
use crate::kernels::{AttentionScratch, attend_all};
use crate::model::Model;
use crate::parallel::room;
use crate::product::{added, plain};
use crate::workspace::Workspace;

impl Model {
    /// Encodes sentences packed in `tokens`, sentence `i` at `offsets[i]..offsets[i + 1]`; leaves the result `[tokens,
    /// d]` in `workspace.normed`.
    pub(crate) fn encode(&self, tokens: &[u32], offsets: &[usize], workspace: &mut Workspace) {
        let (d, heads, n) = (self.config.d_model, self.config.heads_of(Side::Encoder), tokens.len());
        let threads = workspace.threads();
        let places = offsets.windows(2).flat_map(|w| 0..(w[1] - w[0]) as u32);
        self.embed(Side::Encoder, tokens.iter().copied().zip(places), room(&mut workspace.x, n * d));
        for (i, layer) in self.encoder.iter().enumerate() {
            let attention = &layer.attention;
            let input = attention.norm.input(&workspace.x[..n * d], &mut workspace.normed);
            let projections = room(&mut workspace.projections, n * 3 * d);
            attention.projections.apply(input, n, projections, plain(threads), &mut workspace.scratch[0]);
            let context = room(&mut workspace.context, n * d);
            attend_sentences(projections, offsets, [d, heads], &mut workspace.attention, context);
            let x = &mut workspace.x[..n * d];
            attention.output.apply(context, n, x, added(threads), &mut workspace.scratch[0]);
            attention.norm.finish(n * d, &mut workspace.x, &mut workspace.normed);
            layer.feed_forward.apply(n, i, d, workspace);
        }
        self.finish(Side::Encoder, n, workspace);
    }

    /// Computes the decoder's keys and values of the sentences that were just encoded into their slots.
    pub(crate) fn keep_sources(
        &self,
        offsets: &[usize],
        slots: &[u32],
        sources: &mut Sources,
        workspace: &mut Workspace,
    ) {
        let (d, n) = (self.config.d_model, offsets.last().copied().unwrap_or(0));
        let threads = workspace.threads();
        for (i, layer) in self.decoder.iter().enumerate() {
            let projections = room(&mut workspace.projections, n * 2 * d);
            let memory = &workspace.normed[..n * d];
            layer.cross.key_value.apply(memory, n, projections, plain(threads), &mut workspace.scratch[0]);
            for (slot, bounds) in slots.iter().zip(offsets.windows(2)) {
                let rows = &projections[bounds[0] * 2 * d..bounds[1] * 2 * d];
                sources.slots[*slot as usize].layers[i][..rows.len()].copy_from_slice(rows);
            }
        }
    }
}

/// Attention within each sentence, one thread per scratch: `projections` `[tokens, 3d]` -> `out` `[tokens, d]`.
fn attend_sentences(
    projections: &[f32],
    offsets: &[usize],
    [d, heads]: [usize; 2],
    scratch: &mut [AttentionScratch],
    out: &mut [f32],
) {
    let sentences = offsets.len() - 1;
    let run = |sentences: std::ops::Range<usize>, scratch: &mut AttentionScratch, mut out: &mut [f32]| {
        for i in sentences {
            let (start, end) = (offsets[i], offsets[i + 1]);
            let (mine, rest) = std::mem::take(&mut out).split_at_mut((end - start) * d);
            attend_all(&projections[start * 3 * d..end * 3 * d], d, heads, scratch, mine);
            out = rest;
        }
    };
    if scratch.len() == 1 || sentences < 2 {
        return run(0..sentences, &mut scratch[0], out);
    }
    let (threads, tokens) = (scratch.len(), offsets[sentences]);
    rayon::scope(|scope| {
        let (mut first, mut out, run) = (0, out, &run);
        for (thread, scratch) in scratch.iter_mut().enumerate() {
            let until = offsets.partition_point(|offset| *offset < tokens * (thread + 1) / threads).max(first);
            let (mine, rest) = std::mem::take(&mut out).split_at_mut((offsets[until] - offsets[first]) * d);
            let sentences = first..until;
            scope.spawn(move |_| run(sentences, scratch, mine));
            (first, out) = (until, rest);
        }
    });
}
