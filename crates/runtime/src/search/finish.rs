//! The result of a finished search: its hypotheses with everything that the request asked for.

use super::{Done, NONE, Search};
use crate::request::Hypothesis;
use crate::routing::Routing;

impl Search {
    /// The finished hypotheses, best first.
    pub fn finish(&mut self) -> Vec<Hypothesis> {
        let options = self.request.options;
        let mut done = std::mem::take(&mut self.done);
        // A stable sort: equal scores keep the order in which they were found.
        done.sort_by(|a, b| b.score.total_cmp(&a.score));
        done.truncate(options.nbest.min(options.width()));
        done.iter()
            .map(|done| {
                let mut path: Vec<_> = self.backwards(done.node).copied().collect();
                path.reverse();
                let rows = || path.iter().map(|node| self.attention_of(node.attention));
                Hypothesis {
                    ids: path.iter().map(|node| node.id).collect(),
                    score: done.score,
                    token_scores: path.iter().map(|node| node.log_p).chain(done.end).collect(),
                    attention: options.alignments.then(|| rows().map(<[f32]>::to_vec).collect()),
                    routing: options.routing.then(|| self.routing_of(done)),
                }
            })
            .collect()
    }

    /// `sum over source tokens of ln(min(1, attention summed over the translation))` (Wu et al., 2016, equation 14).
    pub(super) fn coverage(&self, node: u32, end: u32) -> f32 {
        let mut covered = vec![0.0f32; self.request.source.len()];
        let rows = self.backwards(node).map(|node| node.attention).chain([end]);
        for row in rows.filter(|row| *row != NONE) {
            covered.iter_mut().zip(self.attention_of(row)).for_each(|(sum, p)| *sum += p);
        }
        covered.iter().map(|sum| sum.clamp(f32::MIN_POSITIVE, 1.0).ln()).sum()
    }

    fn attention_of(&self, row: u32) -> &[f32] {
        let source = self.request.source.len();
        if row == NONE { &[] } else { &self.attention[row as usize * source..][..source] }
    }

    fn routing_of(&self, done: &Done) -> Routing {
        let mut target = Vec::new();
        let mut node = if done.read { done.node } else { self.nodes[done.node as usize].parent };
        // From the last token of the prompt on.
        while node != NONE && node as usize + 1 >= self.request.prompt.len() {
            target.extend(self.routing.get(node as usize).cloned());
            node = self.nodes[node as usize].parent;
        }
        target.reverse();
        Routing { source: self.source_routing.clone(), target }
    }
}
